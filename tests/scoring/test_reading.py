"""Reading as a request wants it: documents cut by the model's own tokens, another instruction, tokens counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import sidecar
from sidecar.core.candidates import Passage
from sidecar.core.errors import ModelError
from sidecar.core.read_options import ReadOptions
from sidecar.scoring.loading import load_scorer
from sidecar.scoring.reading import cut_document, read_with, takes_instruction

FLEA = Passage("Flea", "A flea lives for 100 days.")


@pytest.fixture(scope="module")
def e5():
    return load_scorer("e5-small", device="cpu")


@pytest.mark.parametrize(
    ("most", "title", "text"),
    [(1, "Flea", ""), (3, "Flea", "A flea"), (5, "Flea", "A flea lives for"), (99, "Flea", FLEA.text)],
)
def test_a_document_is_cut_after_whole_tokens_of_title_and_text(e5, most, title, text):
    found = cut_document(e5.prompt, FLEA, most)
    assert (found.title, found.text) == (title, text)


@pytest.mark.parametrize("text", ["", " ", "\ud800\udc00", "é" * 50, "שלום עולם", "👩‍👩‍👧" * 20, "x" * 10_000])
def test_odd_texts_are_cut_to_their_own_beginning(e5, text):
    found = cut_document(e5.prompt, Passage("", text), 3)
    assert text.startswith(found.text)
    assert len(e5.prompt.offsets(found.text)) <= 3


def test_tokens_are_counted_whether_an_embedding_is_cached_or_not(e5):
    # [CLS] query: how long [SEP] and [CLS] passage: flea … [SEP]
    first, second = (e5.score("how long", [FLEA])[0] for _ in range(2))
    rows = len(e5.prompt.texts([e5.prompt.query("how long")])[0]) + len(e5.prompt.passages([FLEA])[0])
    assert (first.tokens, second.tokens) == (rows, rows)


def test_a_cut_document_is_scored_as_its_beginning(e5):
    how = ReadOptions(document_tokens=5)
    [[score]] = e5.score_all([read_with(e5, "how long", [FLEA], how)])
    assert score == e5.score("how long", [Passage("Flea", "A flea lives for")])[0]


def test_an_instruction_of_a_request_is_refused_by_a_model_without_one(e5):
    assert not takes_instruction(e5)
    with pytest.raises(ModelError, match="takes no instruction"):
        read_with(e5, "how long", [FLEA], ReadOptions(instruction="find facts"))


def test_another_instruction_is_read_in_place_of_the_models_own(tmp_path):
    model = tmp_path / "instructed"
    shutil.copytree(Path(sidecar.__file__).parent / "models" / "e5-small", model)
    manifest = json.loads((model / "sidecar.json").read_text())
    changed = {"query_template": "{instruction} query: {query}", "instruction": "find facts"}
    (model / "sidecar.json").write_text(json.dumps(manifest | changed))
    scorer = load_scorer(str(model), device="cpu")
    assert takes_instruction(scorer)

    def scored(how):
        return scorer.score_all([read_with(scorer, "how long", [FLEA], how)])[0][0]

    usual, other = scored(ReadOptions()), scored(ReadOptions(instruction="find braces {query} and jokes"))
    assert scored(ReadOptions(instruction="find facts")) == usual
    assert abs(other.value - usual.value) > 1e-4
    assert scored(ReadOptions()) == usual
