import json
import statistics

import pytest

from sidecar.bench.work import by_typicality, cut, queries_for
from sidecar.core.errors import InputError
from sidecar.scoring.checkpoints.manifest import Manifest
from tests.support.bench import make_query


def test_a_candidate_file_is_read_as_the_model_reads_it(tmp_path):
    path = tmp_path / "lists.jsonl"
    hits = [{"docid": "a", "title": "", "text": "fleas"}, {"docid": "b", "text": " "}]
    path.write_text(json.dumps({"query_id": "1", "query": "life", "candidates": hits}))

    [query] = queries_for(path, Manifest(), seed=0)

    assert (query.written, query.documents, query.docids) == ("query: life", ["document:  fleas"], ["a"])


def test_a_file_without_text_is_an_error(tmp_path):
    path = tmp_path / "lists.jsonl"
    path.write_text(json.dumps({"query_id": "1", "query": "life", "candidates": [{"docid": "b", "text": ""}]}))

    with pytest.raises(InputError, match="no passage to score"):
        queries_for(path, Manifest(), seed=0)


def test_made_up_texts_have_the_lengths_of_real_ones():
    queries = queries_for(None, Manifest(), seed=0)
    words = [len(passage.text.split()) for query in queries for passage in query.passages]

    assert len(words) == 4300
    assert statistics.median(words) == pytest.approx(55, rel=0.1)  # DL19's BM25 top-100: 55, mean 62.6
    assert statistics.fmean(words) == pytest.approx(62.6, rel=0.1)
    assert queries == queries_for(None, Manifest(), seed=0)
    assert queries != queries_for(None, Manifest(), seed=1)


def test_the_most_typical_query_comes_first():
    queries = [make_query("few", 1), make_query("middle", 5), make_query("many", 50)]

    assert [query.qid for query in by_typicality(queries, lambda query: len(query.passages))] == [
        "middle",
        "few",
        "many",
    ]


@pytest.mark.parametrize(("pairs", "kept"), [(250, [100, 100]), (100, [100]), (40, [40]), (3, [8])])
def test_whole_queries_are_kept_or_part_of_the_first(pairs, kept):
    queries = [make_query(str(number), 100) for number in range(3)]

    assert [len(query.passages) for query in cut(queries, pairs)] == kept


def test_a_sample_spreads_over_the_ranks():
    query = make_query("q", 100).sample(4)

    assert query.docids == ["q-0", "q-25", "q-50", "q-75"]
    assert query.documents == [Manifest().write_document(passage) for passage in query.passages]
