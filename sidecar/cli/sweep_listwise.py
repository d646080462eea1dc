"""Stage two as an axis of a sweep: each generator is loaded once, and each of its answers is kept in the folder."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from sidecar.cli.options import LISTWISE
from sidecar.cli.progress import working
from sidecar.cli.sweep_stages import with_values
from sidecar.core.candidates import Ranking, rank_scored
from sidecar.core.errors import ConfigurationError
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.stage_two import count_answers
from sidecar.experiments.journal import Journal
from sidecar.experiments.stage_files import StageFile
from sidecar.experiments.sweep_plan import StageTwoPoint
from sidecar.listwise.prompt import Chat
from sidecar.listwise.stage import Generator, ListwiseStage
from sidecar.listwise.windows import Answer
from sidecar.scoring.cache_keys import add_text
from sidecar.settings import Settings

# The settings that a plan may vary.
KEYS = (*LISTWISE, "listwise_request")

# The logarithm of a probability that is 0 as a number.
_LEAST = -1e9


def stage_two_settings(points: Sequence[StageTwoPoint], settings: Settings) -> dict[str, Settings]:
    """Return the settings of each stage two by its name in the plan. Raises `ConfigurationError` for a wrong one."""
    found: dict[str, Settings] = {}
    for point in points:
        if stray := sorted(point.settings.keys() - set(KEYS)):
            raise ConfigurationError(
                f"listwise: {', '.join(stray)} is no setting of stage two.", remedy=f"They are {', '.join(KEYS)}."
            )
        own = with_values(settings, point.settings)
        if own.as_stage_two() is None:
            raise ConfigurationError(f"listwise: {point.name} has no generator.", remedy="Name it by `listwise_model`.")
        found[point.name] = own
    return found


class KeptAnswers:
    """The answers of generators by the digests of what was asked, in a journal, from any thread.

    Raises what `Journal` raises.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path, {"answers": "of generators"}, resume=True)
        self._answers = {key: msgspec.json.decode(line, type=Answer) for key, line in self._journal.entries()}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the journal."""
        self._journal.__exit__(None, None, None)

    def get(self, key: str) -> Answer | None:
        """Return the answer under a key, None if there is none."""
        return self._answers.get(key)

    def add(self, key: str, answer: Answer) -> None:
        """Keep an answer. Raises `InputError` if the disk is full."""
        with self._lock:
            self._journal.add(key, msgspec.json.encode(_finite(answer)))
            self._answers[key] = answer


def _finite(answer: Answer) -> Answer:
    """Return an answer that JSON can hold, which has no infinity: a probability of 0 stays one."""
    if answer.tokens is None:
        return answer
    tokens = [replace(one, choices=[(name, max(log, _LEAST)) for name, log in one.choices]) for one in answer.tokens]
    return replace(answer, tokens=tokens)


class RememberingGenerator:
    """Asks a generator only what it was not asked before with the same options."""

    def __init__(self, generator: Generator, spec: ListwiseSpec, kept: KeptAnswers) -> None:
        self.prompt, self.identity = generator.prompt, generator.identity
        self._generator, self._kept = generator, kept
        self._options = msgspec.json.encode([spec.mode, spec.tokens, spec.request], order="sorted").decode()

    def answer(self, chat: Chat, *, seconds: float) -> Answer:
        """Return the answer to a chat. Raises what the generator raises."""
        key = self._key(chat)
        known = self._kept.get(key)
        if known is None:
            known = self._generator.answer(chat, seconds=seconds)
            self._kept.add(key, known)
        return known

    def cancel(self) -> None:
        """Give up the chats that are being answered."""
        self._generator.cancel()

    def _key(self, chat: Chat) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for text in (self.identity, self._options, *chat.identifiers):
            add_text(digest, text)
        for message in chat.messages:
            add_text(digest, message["role"])
            add_text(digest, message["content"])
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class SweptStageTwo:
    """A stage two on the candidates of the first stages' `files`; `answers` counts those to its rankings."""

    stage: ListwiseStage
    files: Mapping[str, StageFile]
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def depth(self) -> int:
        """Return how many hits of a query it orders."""
        return self.stage.spec.depth

    def orders(self, stage: str, tops: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return the docids of each query in the generator's order. Raises what the generator raises."""
        rankings = ((qid, self._ranking(self.files[stage], qid, top)) for qid, top in tops.items())
        found = {}
        for qid, ranking in self.stage.reorder_all(rankings):
            self.answers.update(count_answers(ranking.stage_two.windows if ranking.stage_two else ()))
            found[qid] = [tops[qid][hit.candidate.rank - 1] for hit in ranking.hits]
        return found

    @property
    def told(self) -> dict[str, Any]:
        """Return the generator, and how it answered on all rankings; an answer counts each time it is used."""
        return {"generator": self.stage.generator.identity, **self.answers}

    def _ranking(self, file: StageFile, qid: str, top: Sequence[str]) -> Ranking:
        found = file.read(qid)
        passages = {one.docid: one.passage for one in found.candidates}
        return rank_scored(found.query, [passages[docid] for docid in top], [0.0] * len(top))


@contextmanager
def open_stages_two(
    settings: Mapping[str, Settings], files: Mapping[str, StageFile], kept: KeptAnswers
) -> Iterator[dict[str, SweptStageTwo]]:
    """Load each generator once, or connect to it; depths and steps share one. Raises what `load_listwise` raises."""
    from sidecar.listwise.loading import load_listwise

    found: dict[str, SweptStageTwo] = {}
    with ExitStack() as stack:
        loaded: dict[bytes, Generator] = {}
        for name, one in settings.items():
            spec = one.as_stage_two()
            assert spec is not None  # noqa: S101  `stage_two_settings` has refused it
            key = msgspec.json.encode(msgspec.structs.replace(spec, depth=spec.window, step=spec.window))
            if key not in loaded:
                with working(f"loading the generator {spec.model}"):
                    stage = stack.enter_context(closing(load_listwise(spec)))
                loaded[key] = RememberingGenerator(stage.generator, spec, kept)
            found[name] = SweptStageTwo(ListwiseStage(loaded[key], spec), files)
        yield found
