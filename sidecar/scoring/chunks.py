"""Long passages in overlapping chunks, of which the best one counts. Knows neither models nor tensors.

Source: MaxP of Dai and Callan, "Deeper Text Understanding for IR with Contextual Neural Language Modeling", SIGIR 2019.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sidecar.core.candidates import Chunk, Passage, Score
from sidecar.core.model_spec import Chunking
from sidecar.scoring import Scorer
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.prompt import CHARACTERS_PER_TOKEN, Prompt
from sidecar.scoring.score_mapping import Mapping

# A chunk is cut as text and tokenised again, and its first token may then become two: so many tokens are kept free.
RESERVE = 4
# Where query and title leave less than this for the text, chunks would be confetti: the passage is cut as ever.
LEAST_TOKENS = 16
# Characters taken at first for each token that is looked for: English has 4 to 5 a token.
USUAL_CHARACTERS = 8


class ReadsTokens(Scorer, Protocol):
    """A scorer in two steps whose prompt can be asked what fits."""

    @property
    def prompt(self) -> Prompt:
        """How it writes and tokenises."""
        ...


def split(chunking: Chunking, prompt: Prompt, text: str, room: int) -> tuple[list[Chunk], bool]:
    """Cut a text with `room` tokens to fit in; returns the chunks, and whether all of the text is in them.

    No chunks means that the text is to be scored whole. Time and memory are bounded by its `limit`.
    """
    size = min(chunking.tokens or room, room - RESERVE)
    if size < min(LEAST_TOKENS, chunking.tokens or LEAST_TOKENS):
        return [], True
    stride = size - min(chunking.overlap, size // 2)
    reach = size + (chunking.limit - 1) * stride
    offsets, read_all = _offsets(prompt, text, reach + 1)
    if len(offsets) <= size and read_all:
        return [], True
    used = offsets[:reach]
    starts = [0, *range(stride, max(stride, len(used) - size + stride), stride)]
    spans = [used[start : start + size] for start in starts]
    chunks = [Chunk(i, len(spans), span[0][0], span[-1][1]) for i, span in enumerate(spans)]
    return chunks, read_all and len(offsets) <= reach


@dataclass(frozen=True, slots=True)
class Chunked:
    """A reading of passages in chunks: `splits` are each passage's chunks and whether all of its text is in them."""

    parts: Any
    splits: Sequence[tuple[list[Chunk], bool]]

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of all chunks of each passage."""
        rest = iter(self.parts.lengths)
        return [sum(next(rest) for _ in range(max(1, len(chunks)))) for chunks, _ in self.splits]

    def part(self, start: int, stop: int) -> Chunked:
        """Some of the passages, with all of their chunks."""
        ends = [0, *itertools.accumulate(max(1, len(chunks)) for chunks, _ in self.splits)]
        stop = min(stop, len(self.splits))
        return Chunked(self.parts.part(ends[start], ends[stop]), self.splits[start:stop])

    def best(self, scores: Sequence[Score]) -> list[Score]:
        """Each passage's score out of its chunks'."""
        rest = iter(scores)
        return [
            _best(chunks, [next(rest) for _ in chunks], complete) if chunks else next(rest)
            for chunks, complete in self.splits
        ]


class MaxP:
    """A scorer that gives a long passage the score of its best chunk, the first of equals; the title leads each chunk.

    `truncated` then says that not all of the passage was in a chunk. Passages that fit are scored as ever.
    """

    def __init__(self, scorer: ReadsTokens, chunking: Chunking) -> None:
        self.scorer = scorer
        self.chunking = chunking

    @property
    def name(self) -> str:
        """The user's name of the model."""
        return self.scorer.name

    @property
    def mapping(self) -> Mapping:
        """The scorer's own: the best chunk's score is a score like any other."""
        return self.scorer.mapping

    @property
    def engine_name(self) -> str:
        """The scorer's own."""
        return self.scorer.engine_name

    @property
    def manifest(self) -> Manifest:
        """The scorer's own."""
        return self.scorer.manifest

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """One score for each passage, in the order given. Raises what the scorer raises."""
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query: str, passages: Sequence[Passage]) -> Chunked:
        """Cut the passages and tokenise their chunks."""
        prompt = self.scorer.prompt
        rooms = {title: prompt.room(query, title) for title in {passage.title for passage in passages}}
        splits = [split(self.chunking, prompt, passage.text, rooms[passage.title]) for passage in passages]
        parts = [
            part for passage, (chunks, _) in zip(passages, splits, strict=True) for part in _parts(passage, chunks)
        ]
        return Chunked(self.scorer.read(query, parts), splits)

    def score_all(self, tokenized: Sequence[Chunked]) -> list[list[Score]]:
        """Scores of several queries' passages. Raises what the scorer raises."""
        found = self.scorer.score_all([one.parts for one in tokenized])
        return [one.best(scores) for one, scores in zip(tokenized, found, strict=True)]


def _parts(passage: Passage, chunks: Sequence[Chunk]) -> list[Passage]:
    if not chunks:
        return [passage]
    return [Passage(passage.title, passage.text[chunk.start : chunk.end], passage.fields) for chunk in chunks]


def _best(chunks: Sequence[Chunk], scores: Sequence[Score], complete: bool) -> Score:
    best = max(range(len(chunks)), key=lambda i: (scores[i].value, -i))
    return Score(scores[best].value, not complete or any(score.truncated for score in scores), chunks[best])


def _offsets(prompt: Prompt, text: str, wanted: int) -> tuple[list[tuple[int, int]], bool]:
    """Positions of the first `wanted` tokens or of all there are, and whether the whole text was read for them."""
    most, characters = wanted * CHARACTERS_PER_TOKEN, wanted * USUAL_CHARACTERS
    while True:
        offsets = prompt.offsets(text[:characters])
        if len(offsets) > wanted or characters >= min(len(text), most):
            return offsets[:wanted], characters >= len(text)
        characters = min(4 * characters, most)
