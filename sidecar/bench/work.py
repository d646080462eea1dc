"""The work of a round: queries with their passages, from a candidate file or made up."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.experiments.candidate_files import read_candidates
from sidecar.scoring.checkpoints.manifest import Manifest

# Words of a passage in MS MARCO's BM25 top-100 for the queries of TREC DL 2019: the mean and deviation of their
# logarithms, the minimum and the maximum.
_LOG_MEAN, _LOG_DEVIATION, _LEAST, _MOST = 4.06, 0.40, 12, 193
_SYNTHETIC_QUERIES, _SYNTHETIC_PASSAGES, _QUERY_WORDS = 43, 100, 6
# Fewer passages than this do not show the effect of batches.
LEAST_PASSAGES = 8

_VOCABULARY = (
    "the of and to in is for that with are as on by from it be at or this an which can was have will more has not "
    "water body blood cell energy heart system disease cost price average year time state city county school law "
    "treatment symptoms temperature weather definition meaning example company service number phone insurance tax "
    "plant animal species river mountain history century war president government population economic chemical acid"
)


@dataclass(frozen=True, slots=True)
class Query:
    """A query and its passages in first-stage order, both as given and as the model reads them."""

    qid: str
    text: str
    docids: Sequence[str]
    passages: Sequence[Passage]
    written: str
    documents: Sequence[str]

    def sample(self, count: int) -> Query:
        """Return some of the passages, spread evenly over the ranks; all of them if there are no more."""
        total = len(self.passages)
        kept = [index * total // count for index in range(count)] if count < total else list(range(total))
        chosen = [[values[index] for index in kept] for values in (self.docids, self.documents)]
        return replace(self, docids=chosen[0], documents=chosen[1], passages=[self.passages[index] for index in kept])


def write_query(manifest: Manifest, qid: str, text: str, passages: Sequence[tuple[str, Passage]]) -> Query:
    """Fill the manifest's templates; `passages` come with their docids."""
    return Query(
        qid,
        text,
        [docid for docid, _ in passages],
        [passage for _, passage in passages],
        manifest.write_query(text),
        [manifest.write_document(passage) for _, passage in passages],
    )


def queries_for(pairs: Path | None, manifest: Manifest, *, seed: int) -> list[Query]:
    """Return the queries of a candidate file, or made-up ones without a file. Raises `InputError`."""
    return synthetic_queries(manifest, seed=seed) if pairs is None else read_queries(pairs, manifest)


def read_queries(path: Path, manifest: Manifest) -> list[Query]:
    """Read every query of a candidate file with the passages that have text. Raises `InputError`."""
    found = [
        write_query(
            manifest,
            one.qid,
            one.query,
            [(hit.docid, hit.passage) for hit in one.candidates if not hit.passage.is_empty],
        )
        for one in read_candidates(path, PassageFields())
    ]
    queries = [query for query in found if query.passages]
    if not queries:
        raise InputError(f"{path} holds no passage to score.")
    return queries


def synthetic_queries(manifest: Manifest, *, seed: int) -> list[Query]:
    """Make up queries and passages with the numbers and lengths of DL19's BM25 top-100."""
    draw = random.Random(seed)  # noqa: S311  texts, not secrets
    words = _VOCABULARY.split()
    queries = []
    for number in range(_SYNTHETIC_QUERIES):
        texts = [_text(draw, words) for _ in range(_SYNTHETIC_PASSAGES)]
        passages = [(f"{number}-{index}", Passage("", text)) for index, text in enumerate(texts)]
        queries.append(write_query(manifest, str(number), " ".join(draw.choices(words, k=_QUERY_WORDS)), passages))
    return queries


def _text(draw: random.Random, words: Sequence[str]) -> str:
    length = round(draw.lognormvariate(_LOG_MEAN, _LOG_DEVIATION))
    return " ".join(draw.choices(words, k=min(_MOST, max(_LEAST, length))))


def by_typicality(queries: Sequence[Query], tokens: Callable[[Query], int]) -> list[Query]:
    """Order queries by how close their token counts are to the median query's, so that the first represent all."""
    counts = [tokens(query) for query in queries]
    middle = statistics.median(counts)
    order = sorted(range(len(queries)), key=lambda index: (abs(counts[index] - middle), index))
    return [queries[index] for index in order]


def cut(queries: Sequence[Query], pairs: int) -> list[Query]:
    """Return about as many pairs as asked for: whole queries, or a sample of the first one's passages."""
    whole: list[Query] = []
    for query in queries:
        pairs -= len(query.passages)
        if pairs < 0:
            break
        whole.append(query)
    first = queries[0]
    return whole or [first.sample(max(LEAST_PASSAGES, pairs + len(first.passages)))]
