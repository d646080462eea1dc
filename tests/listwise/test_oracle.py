"""A generator that knows the judgements reaches the best order of DL19's BM25 lists that its windows allow."""

from __future__ import annotations

import ir_measures
import pytest

from sidecar.core.documents import PassageFields
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.qrels import read_qrels
from sidecar.listwise.prompt import passage_text
from sidecar.listwise.windows import sort_windows
from tests.support.listwise import answered, knows_the_order

# nDCG@10 of BM25's order, of its first 20, 30 and 100 hits by their grades, best first.
ORACLE = {0: 0.5058, 20: 0.7262, 30: 0.7821, 100: 0.8922}


def reordered(found, grades, depth):
    """Sort the first hits of a list by a generator that knows their grades by their texts."""
    hits = found.candidates[:depth]
    worth = {passage_text(hit.passage, 300): grades.get(hit.docid, 0) for hit in hits}
    spec = ListwiseSpec(model="scripted", depth=max(depth, 2))
    sorting = sort_windows(found.query, [hit.passage for hit in hits], spec, "dear")
    order = answered(sorting, knows_the_order(worth.__getitem__)).order
    return [hits[place].docid for place in order] + [hit.docid for hit in found.candidates[depth:]]


@pytest.mark.parametrize("depth", ORACLE)
def test_the_oracle_is_reached_within_its_windows(judged, depth):
    folder = judged / "trec-dl19-passage"
    qrels = read_qrels(folder / "qrels.tsv")
    runs = {}
    for found in read_candidates(folder / "candidates.bm25.jsonl.gz", PassageFields()):
        docids = reordered(found, qrels[found.qid], depth)
        assert sorted(docids) == sorted(hit.docid for hit in found.candidates)
        runs[found.qid] = {docid: -float(place) for place, docid in enumerate(docids)}
    value = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, runs)
    assert value[ir_measures.nDCG @ 10] == pytest.approx(ORACLE[depth], abs=5e-5)
