"""Long passages by their best chunk: equal to scoring the chunks by hand, one at a time."""

from __future__ import annotations

import itertools
import time

import pytest

from sidecar.core.candidates import Chunk, Passage, Score
from sidecar.core.errors import ConfigurationError
from sidecar.core.model_spec import Chunking
from sidecar.scoring.chunks import MaxP, split
from sidecar.scoring.loading import load_scorer
from sidecar.scoring.prompt import Tokens
from sidecar.scoring.score_mapping import Mapping
from sidecar.scoring.tokenized import TokenizedPairs
from tests.support.models.values import values

QUERY = "which passage holds the words of a query"
SENTENCE = "the index returns every passage that holds one of the words in a query ordered by its score"
WORDS = SENTENCE.split()
# Word order changes from line to line, so that no two chunks read alike.
LONG = " ".join(" ".join(WORDS[i % 7 :] + WORDS[: i % 11]) + f" {i}." for i in range(12))


class Fitting:
    """A prompt to which every character is a token and eight fit; longer texts are the worse, but for an `x`."""

    name = "fitting"
    mapping = Mapping()

    def __init__(self, room=12):
        self.prompt = self
        self._room = room
        self.seen = []

    def room(self, query, title):
        return self._room - len(title)

    def offsets(self, text):
        return [(i, i + 1) for i in range(len(text))]

    def read(self, query, passages):
        self.seen = [passage.text for passage in passages]
        return TokenizedPairs([Tokens(list(passage.text.encode())) for passage in passages])

    def score_all(self, readings):
        return [[Score(float(row.ids.count(ord("x")))) for row in reading.rows] for reading in readings]


def texts(text, **options):
    scorer = Fitting()
    [score] = MaxP(scorer, Chunking(**options)).score("q", [Passage("", text)])
    return scorer.seen, score


def test_chunks_overlap_and_end_with_the_text():
    # 8 characters a chunk, 3 shared: they begin at 0, 5, 10
    seen, score = texts("abcdefghijklmnopx", tokens=8, overlap=3)
    assert seen == ["abcdefgh", "fghijklm", "klmnopx"]
    assert score == Score(1.0, truncated=False, chunk=Chunk(2, 3, 10, 17))


@pytest.mark.parametrize(("length", "chunks"), [(8, 1), (9, 2), (13, 2), (14, 3), (18, 3), (19, 4)])
def test_there_are_as_many_chunks_as_it_takes(length, chunks):
    seen, score = texts("a" * length, tokens=8, overlap=3)
    assert len(seen) == chunks
    assert (score.chunk is None) == (chunks == 1)


def test_the_first_of_equal_chunks_wins():
    assert texts("axbbbbbbbxbbbbbbbx", tokens=8, overlap=0)[1].chunk == Chunk(0, 3, 0, 8)


def test_beyond_the_most_chunks_nothing_is_read_and_that_is_told():
    seen, score = texts("abcdefghijklmnopx", tokens=8, overlap=3, limit=2)
    assert seen == ["abcdefgh", "fghijklm"]
    assert score == Score(0.0, truncated=True, chunk=Chunk(0, 2, 0, 8))


def test_a_passage_that_fits_is_scored_as_ever():
    assert texts("abcdefgx", tokens=8, overlap=3) == (["abcdefgx"], Score(1.0))


def test_without_room_beside_query_and_title_nothing_is_chunked():
    scorer = Fitting(room=10)
    assert MaxP(scorer, Chunking()).score("q", [Passage("a long title", "x" * 99)]) == [Score(99.0)]


@pytest.mark.parametrize("options", [{"tokens": 8, "overlap": 8}, {"overlap": -1}, {"limit": 0}])
def test_chunks_that_never_advance_are_refused(options):
    with pytest.raises(ConfigurationError, match="never advance"):
        Chunking(**options)


@pytest.fixture(scope="module", params=["llama", "bert", "e5-small", "qwen"])
def model(request, tiny_llama, tiny_bert, tiny_kin):
    """A scorer with a window of about 96 tokens; Qwen's prompt alone is longer than that."""
    if request.param == "qwen":
        return load_scorer(str(tiny_kin("qwen")), device="cpu")
    where = {"llama": str(tiny_llama[1]), "bert": str(tiny_bert), "e5-small": "e5-small"}[request.param]
    return load_scorer(where, device="cpu", max_length=96)


@pytest.mark.parametrize("tokens", [None, 24])
def test_the_best_chunk_equals_the_chunks_scored_by_hand(model, tokens):
    chunking = Chunking(tokens, overlap=8, limit=400)
    passages = [Passage("A title", LONG), Passage("", LONG[300:]), Passage("T", "short"), Passage("", "")]
    scores = MaxP(model, chunking).score(QUERY, passages)
    for passage, score in zip(passages[:2], scores, strict=False):
        chunks, complete = split(chunking, model.prompt, passage.text, model.prompt.room(QUERY, passage.title))
        assert complete
        assert chunks[0].start == 0
        assert chunks[-1].end == len(passage.text)
        assert all(after.start < before.end for before, after in itertools.pairwise(chunks))
        parts = [Passage(passage.title, passage.text[chunk.start : chunk.end]) for chunk in chunks]
        by_hand = [score for part in parts for score in model.score(QUERY, [part])]
        assert not any(one.truncated for one in by_hand)
        assert score.value == pytest.approx(max(one.value for one in by_hand), abs=1e-5)
        assert by_hand[score.chunk.index].value == pytest.approx(score.value, abs=1e-5)
        assert (score.chunk, score.truncated) == (chunks[score.chunk.index], False)
    assert [score.chunk for score in scores[2:]] == [None, None]
    assert [score.value for score in scores[2:]] == pytest.approx(values(model, QUERY, passages[2:]), abs=1e-5)


@pytest.mark.parametrize("text", ["word " * 2_000_000, "x" * 10_000_000, "é🙂" * 3_000_000])
def test_ten_megabytes_cost_no_more_than_the_most_chunks(tiny_llama, text):
    scorer = load_scorer(str(tiny_llama[1]), device="cpu")
    start = time.perf_counter()
    [score] = MaxP(scorer, Chunking(limit=4)).score("q", [Passage("", text)])
    assert time.perf_counter() - start < 5
    assert score.truncated
    assert score.chunk.count == 4


def test_a_part_of_a_reading_scores_as_the_whole_does():
    model = MaxP(Fitting(), Chunking(tokens=8, overlap=3))
    reading = model.read("q", [Passage("", "x" * n) for n in (3, 20, 1, 9)])
    [whole] = model.score_all([reading])
    parts = model.score_all([reading.part(0, 2), reading.part(2, 9)])
    assert [*parts[0], *parts[1]] == whole
    assert [sum(reading.part(i, i + 1).lengths) for i in range(4)] == list(reading.lengths) == [3, 29, 1, 12]
