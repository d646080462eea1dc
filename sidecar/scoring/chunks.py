"""Score long passages in overlapping chunks, and keep the best score. Knows neither models nor tensors.

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

# Tokens kept free: a chunk is cut as text and tokenised again, and its first token may then become two.
RESERVE = 4
# If query and title leave fewer tokens than this for the text, chunks would be too short: the passage is cut instead.
LEAST_TOKENS = 16
# Characters taken at first for each token wanted: English has 4 to 5 a token.
USUAL_CHARACTERS = 8


class ReadsTokens(Scorer, Protocol):
    """A scorer whose prompt can say how many tokens fit."""

    @property
    def prompt(self) -> Prompt:
        """Return the prompt, which writes and tokenises."""
        ...

    def instructed(self, instruction: str) -> ReadsTokens:
        """Return the same scorer with another instruction in its queries."""
        ...


def split(chunking: Chunking, prompt: Prompt, text: str, room: int) -> tuple[list[Chunk], bool]:
    """Cut a text into chunks that fit `room` tokens; return the chunks, and whether they contain all of the text.

    No chunks means that the text is scored whole. `chunking.limit` bounds time and memory.
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
    """A query tokenised with chunks: `splits` are each passage's chunks, and whether they contain all of its text."""

    parts: Any
    splits: Sequence[tuple[list[Chunk], bool]]

    @property
    def lengths(self) -> Sequence[int]:
        """Return the tokens of all chunks of each passage."""
        rest = iter(self.parts.lengths)
        return [sum(next(rest) for _ in range(max(1, len(chunks)))) for chunks, _ in self.splits]

    def part(self, start: int, stop: int) -> Chunked:
        """Return some of the passages, with all of their chunks."""
        ends = [0, *itertools.accumulate(max(1, len(chunks)) for chunks, _ in self.splits)]
        stop = min(stop, len(self.splits))
        return Chunked(self.parts.part(ends[start], ends[stop]), self.splits[start:stop])

    def best(self, scores: Sequence[Score]) -> list[Score]:
        """Return each passage's best score among its chunks."""
        rest = iter(scores)
        return [
            _best(chunks, [next(rest) for _ in chunks], complete) if chunks else next(rest)
            for chunks, complete in self.splits
        ]


class MaxP:
    """A scorer that gives a long passage the score of its best chunk, the first of equals; each chunk has the title.

    `truncated` then says that the chunks did not contain all of the passage. A passage that fits is scored whole.
    """

    def __init__(self, scorer: ReadsTokens, chunking: Chunking) -> None:
        self.scorer = scorer
        self.chunking = chunking

    @property
    def name(self) -> str:
        """Return the user's name of the model."""
        return self.scorer.name

    @property
    def mapping(self) -> Mapping:
        """Return the scorer's own mapping: the best chunk's score is a score like any other."""
        return self.scorer.mapping

    @property
    def engine_name(self) -> str:
        """Return the scorer's engine name."""
        return self.scorer.engine_name

    @property
    def manifest(self) -> Manifest:
        """Return the scorer's manifest."""
        return self.scorer.manifest

    @property
    def prompt(self) -> Prompt:
        """Return the scorer's prompt."""
        return self.scorer.prompt

    def instructed(self, instruction: str) -> MaxP:
        """Return the same scorer with another instruction in its queries."""
        return MaxP(self.scorer.instructed(instruction), self.chunking)

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Return one score for each passage, in the order given. Raises what the scorer raises."""
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
        """Return the scores of several queries' passages. Raises what the scorer raises."""
        found = self.scorer.score_all([one.parts for one in tokenized])
        return [one.best(scores) for one, scores in zip(tokenized, found, strict=True)]


def _parts(passage: Passage, chunks: Sequence[Chunk]) -> list[Passage]:
    if not chunks:
        return [passage]
    return [Passage(passage.title, passage.text[chunk.start : chunk.end], passage.fields) for chunk in chunks]


def _best(chunks: Sequence[Chunk], scores: Sequence[Score], complete: bool) -> Score:
    best = max(range(len(chunks)), key=lambda i: (scores[i].value, -i))
    truncated = not complete or any(score.truncated for score in scores)
    counts = [score.tokens for score in scores if score.tokens is not None]
    tokens = sum(counts) if len(counts) == len(scores) else None
    return Score(scores[best].value, truncated, chunks[best], tokens)


def _offsets(prompt: Prompt, text: str, wanted: int) -> tuple[list[tuple[int, int]], bool]:
    """Return the positions of the first `wanted` tokens or of all, and whether the whole text was tokenised."""
    most, characters = wanted * CHARACTERS_PER_TOKEN, wanted * USUAL_CHARACTERS
    while True:
        offsets = prompt.offsets(text[:characters])
        if len(offsets) > wanted or characters >= min(len(text), most):
            return offsets[:wanted], characters >= len(text)
        characters = min(4 * characters, most)
