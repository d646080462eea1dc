"""Judging by keyboard: nDCG@10 of both columns as ir-measures has it, and exports that our own readers read."""

from __future__ import annotations

import json
import random

import ir_measures
import pytest

from sidecar.core.documents import PassageFields
from sidecar.experiments.qrels import read_qrels
from sidecar.experiments.topics import read_topics
from sidecar.training.reading import Refusals, read_training
from tests.support.ui.library import document


def judge(page, keys, column="right"):
    page.locator(f".{column} .hit-title").first.focus()
    for key in keys:
        page.keyboard.press(key)


def exported(page, button, folder):
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def measured(page, column):
    return page.locator(f".{column} .measure").inner_text()


def test_keys_grade_and_both_columns_are_measured(page, ids):
    assert measured(page, "right") == ""
    judge(page, "3102")
    right, left = ids(page), ids(page, "left")
    qrels = {"q": dict(zip(right, (3, 1, 0, 2), strict=False))}
    for column, docids in (("right", right), ("left", left)):
        run = {"q": {docid: -rank for rank, docid in enumerate(docids)}}
        (expected,) = (one.value for one in ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, run))
        judged = len(qrels["q"].keys() & set(docids))
        assert measured(page, column) == f"nDCG@10 {expected:.4f} · {judged} of 10 judged"
    assert page.locator(".right .grade:visible").all_text_contents() == ["grade 3", "grade 1", "grade 0", "grade 2"]
    judge(page, "x")
    assert page.locator(".right .grade:visible").all_text_contents() == ["grade 1", "grade 0", "grade 2"]


def test_the_keys_move_between_hits_and_columns(page):
    judge(page, ["j", "ArrowDown", "k"])
    focused = "document.activeElement.closest('.hit').dataset.position"
    position = page.evaluate(focused)
    page.keyboard.press("ArrowLeft")
    if position in page.locator(".left .hit").evaluate_all("hits => hits.map((hit) => hit.dataset.position)"):
        assert page.evaluate("document.activeElement.closest('.column').className") == "column left"
    assert page.evaluate(focused) == position


def test_the_measure_is_that_of_ir_measures_over_many_lists(open_page, service):
    source = random.Random(3)
    lists = []
    for _ in range(200):
        docids = [f"d{i}" for i in range(source.choice([1, 5, 10, 40]))]
        judged = source.sample([*docids, "unseen", "other"], source.randint(1, min(6, len(docids) + 2)))
        lists.append((docids, {docid: source.choice([0, 0, 1, 2, 3]) for docid in judged}))
    page = open_page(f"{service.api_url}/ui")
    found = page.evaluate(
        """async (lists) => {
            const { ndcg } = await import("/ui/ndcg.js");
            return lists.map(([docids, grades]) => ndcg(docids, new Map(Object.entries(grades))));
        }""",
        lists,
    )
    qrels = {str(i): grades for i, (_, grades) in enumerate(lists)}
    runs = {str(i): {one: -rank for rank, one in enumerate(docids)} for i, (docids, _) in enumerate(lists)}
    values = {one.query_id: one.value for one in ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, runs)}
    assert found == pytest.approx([values[str(i)] for i in range(len(lists))], abs=1e-12)


def test_the_exports_are_read_by_our_own_readers(page, ids, tmp_path):
    judge(page, "30")
    best, second = ids(page)[:2]
    page.get_by_role("button", name="Queries and runs").click()
    assert page.get_by_text("2 judgements of 1 query, for the index docs.").is_visible()
    assert read_qrels(exported(page, "Export qrels", tmp_path)) == {"q1": {best: 3, second: 0}}
    assert list(read_topics(exported(page, "Export topics", tmp_path))) == [("q1", "fox")]
    path = exported(page, "Export training data", tmp_path)
    (group,) = read_training(path, PassageFields(), Refusals(drop=False, counts={}))
    texts = [document(int(docid[1:])) for docid in (best, second)]
    assert [(one.title, one.text) for one in group.passages] == texts
    assert (group.qid, group.query, list(group.docids), list(group.labels)) == ("q1", "fox", [best, second], [3, 0])


def test_what_can_not_be_trained_on_is_said(page):
    judge(page, "33")
    page.get_by_role("button", name="Queries and runs").click()
    page.get_by_role("button", name="Export training data").click()
    assert page.get_by_text("No query has two judged passages with different grades").is_visible()


def test_judgements_survive_a_reload_and_can_be_removed(page):
    judge(page, "2")
    page.reload()
    page.wait_for_selector(".right .grade:visible")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Queries and runs").click()
    page.get_by_role("button", name="Remove all").click()
    assert page.get_by_text("0 judgements of 0 queries").is_visible()
    assert "fox" not in json.dumps(page.evaluate("Object.values(localStorage)"))


def test_the_panel_grades_by_buttons(page):
    page.locator(".right .hit-title").nth(1).click()
    button = page.get_by_role("group", name="Grade").get_by_role("button", name="2")
    button.click()
    assert (button.get_attribute("aria-pressed"), page.locator(".right .grade:visible").count()) == ("true", 1)
    button.click()
    assert (button.get_attribute("aria-pressed"), page.locator(".right .grade:visible").count()) == ("false", 0)
