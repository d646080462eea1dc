"""A run, its queries and its corpus become candidate lists; what does not fit together is named."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest

from sidecar.core.candidates import Candidate, Passage
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.run_candidates import RunCandidates, Sources

TREC = "q2 Q0 b 1 3.5 bm25\nq2 Q0 a 2 3.5 bm25\nq1 Q0 c 1 9 bm25\n"
QUERIES = "q1\tred fox\nq2\tdog\nq3\tnever asked\n"
CORPUS = [
    {"_id": "x", "text": "not in the run"},
    {"_id": "a", "title": "A", "text": "text of a"},
    {"id": "b", "contents": "text of b", "n": 0.10},
    {"docid": "c", "headline": "text of c"},
]


@pytest.fixture
def gather(tmp_path):
    def build(run=TREC, queries=QUERIES, corpus=CORPUS, **options):
        (tmp_path / "run").write_text(run)
        (tmp_path / "queries.tsv").write_text(queries)
        with gzip.open(tmp_path / "corpus.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(document) + "\n" for document in corpus)
        sources = Sources(tmp_path / "run", tmp_path / "queries.tsv", tmp_path / "corpus.jsonl.gz")
        return RunCandidates(sources, **options)

    return build


def test_the_lists_are_the_runs(gather):
    seen = []
    made = gather(progress=seen.append)
    assert (len(made), made.documents, made.missing, seen) == (2, 3, 0, [4])
    second, first = made.lists(PassageFields(text=("text", "contents", "headline")))
    assert second == CandidateList(
        "q2",
        "dog",
        [Candidate("b", 1, 3.5, Passage("", "text of b")), Candidate("a", 2, 3.5, Passage("A", "text of a"))],
        [json.dumps(CORPUS[2]).encode(), json.dumps(CORPUS[1]).encode()],
    )
    assert first.candidates == [Candidate("c", 1, 9.0, Passage("", "text of c"))]
    assert [found.qid for found in made.lists(PassageFields(), leave_out={"q2"})] == ["q1"]


def test_an_ms_marco_run_and_queries_that_take_turns(gather):
    made = gather(run="q1\tc\t1\nq2\ta\t1\nq1\tb\t2\n")
    assert [(one.qid, [(c.docid, c.score) for c in one.candidates]) for one in made.lists(PassageFields())] == [
        ("q1", [("c", -1.0), ("b", -2.0)]),
        ("q2", [("a", -1.0)]),
    ]


def test_texts_beyond_the_depth_are_not_looked_up(gather):
    made = gather(run=TREC + "q1 Q0 nowhere 2 8 bm25\n", depth=1)
    assert (made.documents, made.missing) == (2, 0)
    assert [c.passage.is_empty for one in made.lists(PassageFields()) for c in one.candidates if c.rank > 1] == [
        True
    ] * 2


def test_missing_documents_may_be_let_pass(gather):
    made = gather(corpus=CORPUS[:3], allow_missing=True)
    (last,) = made.lists(PassageFields(), leave_out=["q2"])
    assert (made.missing, last.candidates, last.docs) == (1, [Candidate("c", 1, 9.0, Passage("", ""))], [b"null"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"corpus": CORPUS[:1]}, r"corpus.jsonl.gz lacks 3 of 3 documents: 'b', 'a', 'c'\.\n.*--allow-missing"),
        (
            {"run": "".join(f"q1 Q0 n{i} {i} {-i} t\n" for i in range(7))},
            r"lacks 7 of 7 documents: 'n0', 'n1', 'n2', 'n3', 'n4', …\.",
        ),
        ({"queries": "q1\tred fox\n"}, r"queries.tsv lacks the texts of 1 of the 2 queries in .*run: 'q2'\."),
        ({"run": TREC + "q1 Q0 a 2 9.5 bm25\n"}, r"run:4: the score 9.5 of query 'q1' rises above 9,"),
        ({"run": TREC + "q1 Q0 c 2 8 bm25\n"}, r"run:4: document 'c' is listed twice for query 'q1'"),
        ({"run": "q1\ta\t1\nq1\tb\t2\nq1\tc\t1\n"}, r"run:3: the score -1 of query 'q1' rises above -2"),
        ({"run": "q1 a\n"}, r"run:1: neither a TREC line"),
        ({"run": ""}, r"run holds no result"),
        ({"corpus": [*CORPUS, CORPUS[1]]}, r"corpus.jsonl.gz:5: document 'a' was there before"),
        ({"corpus": [*CORPUS, {"text": "no id"}]}, r"corpus.jsonl.gz:5: no id"),
        ({"corpus": [*CORPUS, ["no object"]]}, r"corpus.jsonl.gz:5: not a JSON object"),
    ],
)
def test_what_does_not_fit_is_named(gather, changed, message):
    with pytest.raises(InputError, match=message):
        gather(**changed)


def test_memory_does_not_grow_with_the_corpus_or_the_run(gather):
    def peak(size: int) -> int:
        corpus = ({"_id": f"d{i}", "text": "word " * 100} for i in range(size))
        run = "".join(f"q{n} Q0 d{i} {i} {-i} t\n" for n in range(size // 20) for i in range(n * 20, n * 20 + 20))
        queries = "".join(f"q{n}\tquery\n" for n in range(size // 20))
        tracemalloc.start()
        made = gather(run, queries, corpus)
        assert sum(len(found.docs) for found in made.lists(PassageFields())) == size
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(100)  # warm
    small, large = peak(400), peak(4000)
    # Per query an id and three numbers stay; the 3600 more texts are 1.8 MB.
    assert large - small < 600_000, (small, large)
