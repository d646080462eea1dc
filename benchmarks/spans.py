"""Measure how often the best span of a passage is the sentence that people labelled as the answer, and what it costs.

    python -m benchmarks.spans --data FOLDER --model e5-small [--lists 200] [--variants]

The lists are WikiQA's questions with a labelled sentence, those of dev first, then of train. A passage is the
sentences of a list in their order, joined by spaces, with the title of its page; spans are found in it as the service
does. Beside it are the sentence with the most words of the question (the first of equals), and the first sentence.
`--variants` scores the sentences in two other ways, too: without the title, and after the sentence before. Latency is
that of scoring a page of ten passages with and without their sentences, in turns; no score is cached.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.judged import named, records
from sidecar.core.candidates import Passage
from sidecar.core.spans import pieces_of
from sidecar.scoring import Scorer
from sidecar.scoring.loading import load_scorer

PAGE = 10
ROUNDS = 5
Pieces = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question, its passage, and where the labelled sentences are in it."""

    query: str
    passage: Passage
    answers: list[tuple[int, int]]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True, help="NAME, or NAME=DIRECTORY")
    parser.add_argument("--lists", type=int, default=200)
    parser.add_argument("--variants", action="store_true", help="score sentences in other ways, too")
    given = parser.parse_args()
    lists = list(islice(_labelled(given.data / "wikiqa"), given.lists))
    # Without a cache of embeddings, so that a second scoring costs what the first did.
    scorer = load_scorer(named(given.model)[1], cache_size=0)
    sys.stdout.writelines(accuracy(lists, scorer, variants=given.variants))
    sys.stdout.writelines(latency(lists, scorer))


def _labelled(folder: Path) -> Iterator[Labelled]:
    for part in ("dev", "train"):
        for record in records(folder / f"{part}.labelled_candidates.jsonl.gz"):
            hits = sorted(record["candidates"], key=lambda hit: int(hit["docid"].rpartition("-")[2]))
            if len(hits) < 2 or not any(hit["label"] for hit in hits):
                continue
            answers, at = [], 0
            for hit in hits:
                if hit["label"]:
                    answers.append((at, at + len(hit["text"])))
                at += len(hit["text"]) + 1
            yield Labelled(record["query"], Passage(hits[0]["title"], " ".join(h["text"] for h in hits)), answers)


def accuracy(lists: Sequence[Labelled], scorer: Scorer, *, variants: bool) -> Iterator[str]:
    """Write how often each way finds a labelled sentence, over all lists."""
    ways: dict[str, Callable[[Labelled, Pieces], int]] = {
        "best span": lambda one, pieces: _best(scorer, one, [_part(one.passage, piece) for piece in pieces]),
        "most words of the question": _most_words,
        "first sentence": lambda *_: 0,
    }
    if variants:
        ways["best span, without the title"] = lambda one, pieces: _best(
            scorer, one, [Passage("", _part(one.passage, piece).text) for piece in pieces]
        )
        ways["best span, after the sentence before"] = lambda one, pieces: _best(
            scorer, one, [_part(one.passage, (pieces[max(0, i - 1)][0], pieces[i][1])) for i in range(len(pieces))]
        )
    found = dict.fromkeys(ways, 0)
    sizes = []
    for one in lists:
        pieces = pieces_of([one.passage])[0] or []
        sizes.append(len(pieces))
        for name, way in ways.items():
            found[name] += _is_answer(pieces[way(one, pieces)], one.answers)
    yield f"{len(lists)} lists, {statistics.mean(sizes):.1f} sentences on average\n"
    yield "| | the labelled sentence |\n| --- | --- |\n"
    for name, count in found.items():
        yield f"| {name} | {count / len(lists):.3f} |\n"


def latency(lists: Sequence[Labelled], scorer: Scorer) -> Iterator[str]:
    """Write the median time of a page's passages, and of their sentences, over rounds that take turns."""
    whole, sentences = [], []
    for start in range(0, ROUNDS * PAGE, PAGE):
        page = [one.passage for one in lists[start : start + PAGE]]
        query = lists[start].query
        whole.append(_seconds(scorer, query, page))
        pieces = pieces_of(page)
        parts = [_part(passage, piece) for passage, own in zip(page, pieces, strict=True) for piece in own or ()]
        sentences.append(_seconds(scorer, query, parts))
    first, second = statistics.median(whole), statistics.median(sentences)
    yield f"\na page of {PAGE} passages: {first * 1000:.0f} ms; their sentences: {second * 1000:.0f} ms more, "
    yield f"{second / first:.2f} of it (medians of {ROUNDS})\n"


def _seconds(scorer: Scorer, query: str, passages: Sequence[Passage]) -> float:
    started = time.perf_counter()
    scorer.score(query, passages)
    return time.perf_counter() - started


def _part(passage: Passage, piece: tuple[int, int]) -> Passage:
    return Passage(passage.title, passage.text[piece[0] : piece[1]])


def _best(scorer: Scorer, one: Labelled, parts: Sequence[Passage]) -> int:
    """Return the place of the part with the highest score, the first of equals."""
    scores = scorer.score(one.query, parts)
    return max(range(len(parts)), key=lambda i: (scores[i].value, -i))


def _most_words(one: Labelled, pieces: Pieces) -> int:
    wanted = set(_words(one.query))
    counts = [len(wanted & set(_words(one.passage.text[start:end]))) for start, end in pieces]
    return max(range(len(pieces)), key=lambda i: (counts[i], -i))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _is_answer(piece: tuple[int, int], answers: Sequence[tuple[int, int]]) -> bool:
    """True if more than half of a piece lies in a labelled sentence."""
    start, end = piece
    return any(2 * (min(end, last) - max(start, first)) > end - start for first, last in answers)


if __name__ == "__main__":
    main()
