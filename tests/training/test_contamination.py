"""The leak check: an evaluation's queries and relevant documents, found whatever they look like."""

from __future__ import annotations

import json

import pytest

from sidecar.core.documents import PassageFields
from sidecar.training.contamination import find_contamination, normalised, read_evaluation
from tests.support.training.groups import group

FIELDS = PassageFields()


@pytest.mark.parametrize("text", ["Who was  MAX PLANCK?", "who was max planck", "Who was „Max Planck“ ?!"])
def test_a_query_is_the_same_in_another_dress(text):
    assert normalised(text) == "who was max planck"


def test_accents_in_two_encodings_are_the_same_and_words_are_not_lost():
    assert normalised("Cafe\u0301") == normalised("café") != normalised("cafe")
    assert normalised("C++ or C#") == "c or c"
    assert normalised("東京 タワー") == "東京 タワー"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("topics.tsv", "9\tWhat is a flea?\n"),
        ("topics.jsonl", json.dumps({"_id": "9", "text": "what is a FLEA"}) + "\n"),
        ("lists.jsonl", json.dumps({"query_id": "9", "query": "What is a flea", "candidates": []}) + "\n"),
        (
            "tevatron.jsonl",
            json.dumps(
                {
                    "query": "What is a flea",
                    "positive_passages": [{"docid": "x", "text": "t"}],
                    "negative_passages": [{"docid": "y", "text": "u"}],
                }
            )
            + "\n",
        ),
    ],
)
def test_queries_are_found_in_files_of_every_shape(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = find_contamination(
        [group(1, 0), group(1, 0, query="what is a flea?")], read_evaluation([tmp_path / name], FIELDS)
    )
    assert (found.queries, found.positives) == ([1], [])


@pytest.mark.parametrize("line", ["9 0 d2 1\n9 0 d1 0\n", "query-id\tcorpus-id\tscore\n9\td2\t1\n9\td1\t0\n"])
def test_positives_judged_relevant_are_found_by_docid(tmp_path, line):
    (tmp_path / "qrels").write_text(line)
    evaluation = read_evaluation([tmp_path / "qrels"], FIELDS)
    found = find_contamination([group(1, 0), group(0, 1)], evaluation)
    assert (found.queries, found.positives, found.all) == ([], [1], {1})


def test_one_qrels_file_for_all_topics_counts_for_the_topics_that_are_evaluated(tmp_path):
    (tmp_path / "qrels").write_text("9 0 d1 1\n8 0 d2 1\n")  # 8 is a query of the training
    (tmp_path / "topics.tsv").write_text("9\tdogs\n")
    notes = []
    evaluation = read_evaluation([tmp_path / "qrels", tmp_path / "topics.tsv"], FIELDS, notes.append)
    assert find_contamination([group(1, 0), group(0, 1)], evaluation).positives == [0]
    assert notes == [f"{tmp_path / 'qrels'}: 1 queries are evaluated; 1 others are judged, too, and ignored."]
    # Qrels that know none of the topics belong to another evaluation, and count whole.
    (tmp_path / "others.tsv").write_text("7\tcats\n")
    evaluation = read_evaluation([tmp_path / "others.tsv", tmp_path / "qrels"], FIELDS)
    assert find_contamination([group(1, 0), group(0, 1)], evaluation).positives == [0, 1]


def test_a_beir_folder_brings_its_queries_and_its_judgements(tmp_path):
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "9", "text": "what is a flea"}\n{"_id": "8", "text": "of train"}\n'
    )
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n9\td1\t1\n")
    evaluation = read_evaluation([tmp_path], FIELDS)
    assert (evaluation.queries, evaluation.docids) == ({"what is a flea"}, {"d1"})


def test_positives_are_found_by_text_where_the_evaluation_has_texts(tmp_path):
    candidates = [{"docid": "other", "text": "Fleas  jump.", "label": 2}, {"docid": "o2", "text": "dogs", "label": 0}]
    (tmp_path / "l.jsonl").write_text(json.dumps({"query_id": "9", "query": "x", "candidates": candidates}) + "\n")
    evaluation = read_evaluation([tmp_path / "l.jsonl"], FIELDS)
    known, unknown = group(1, 0, texts=["fleas jump", "cats"]), group(1, 0, texts=["dogs", "fleas jump"])
    assert find_contamination([known, unknown], evaluation).positives == [0]
