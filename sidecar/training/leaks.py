"""Whether training data know the evaluation: its queries, or the documents that are judged relevant for them.

Texts are compared after `normalised`: a query that differs in case, accents' encoding, punctuation or white space is
the same query.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sidecar.documents import PassageFields
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.evaluate import read_qrels
from sidecar.experiments.topics import read_topics
from sidecar.lines import numbered_lines
from sidecar.training.groups import Group
from sidecar.training.reading import Refusals, is_tevatron, read_training

_NO_WORD = re.compile(r"[\W_]+")


@dataclass(slots=True)
class Evaluation:
    """What must not be trained on: `queries` and relevant `passages` by normalised text, relevant `docids`."""

    queries: set[str] = field(default_factory=set)
    passages: set[str] = field(default_factory=set)
    docids: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Leaks:
    """Indices of groups whose query is evaluated, and of those with a positive that is judged relevant there."""

    queries: list[int]
    positives: list[int]

    @property
    def all(self) -> set[int]:
        """Every group with a leak."""
        return {*self.queries, *self.positives}


def normalised(text: str) -> str:
    """Words alone, in one case and one encoding, with single spaces."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def read_evaluation(paths: Iterable[Path], fields: PassageFields) -> Evaluation:
    """Read what evaluation files hold: topics, qrels, candidate lists or training files, told by their first line.

    Qrels bring docids, which only mean something in the same collection; the others bring texts. Raises InputError.
    """
    found = Evaluation()
    for path in paths:
        first = next((line for _, line in islice(numbered_lines(path), 1)), b"")
        if first.lstrip().startswith(b"{"):
            if is_tevatron(path) or b'"candidates"' in first:
                _add_lists(path, fields, found)
            else:
                found.queries.update(normalised(text) for _, text in read_topics(path))
        elif len(first.split(b"\t")) == 2:
            found.queries.update(normalised(text) for _, text in read_topics(path))
        else:
            judged = read_qrels(path)
            found.docids.update(docid for grades in judged.values() for docid, grade in grades.items() if grade > 0)
    # Where there is nothing but punctuation, there is nothing to be the same.
    found.queries.discard("")
    found.passages.discard("")
    return found


def find_leaks(groups: Sequence[Group], evaluation: Evaluation) -> Leaks:
    """Compare each group's query, and the docid and text of its positives."""
    queries = [index for index, group in enumerate(groups) if normalised(group.query) in evaluation.queries]
    positives = [index for index, group in enumerate(groups) if any(_known(group, evaluation))]
    return Leaks(queries, positives)


def _known(group: Group, evaluation: Evaluation) -> Iterator[bool]:
    for index in group.positives:
        text = group.passages[index].text
        yield group.docids[index] in evaluation.docids or normalised(text) in evaluation.passages


def _add_lists(path: Path, fields: PassageFields, found: Evaluation) -> None:
    if is_tevatron(path):
        for group in read_training(path, fields, Refusals(drop=True, counts={}), labelled=False):
            found.queries.add(normalised(group.query))
            found.passages.update(normalised(group.passages[index].text) for index in group.positives)
        return
    for found_list in read_candidates(path, fields):
        found.queries.add(normalised(found_list.query))
        graded = zip(found_list.candidates, found_list.labels, strict=True)
        found.passages.update(normalised(candidate.passage.text) for candidate, label in graded if label)
