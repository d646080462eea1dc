"""Installs a search pipeline: creates missing parts, replaces parts that differ, and names obstacles.

The pipeline is written last, and only once its model has answered; the parts it used before are removed after that. So
searches are served all the while, and the next run completes an interrupted one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from connectors.opensearch.admin.ml_commons import Found, MlCommons, Pretending, State
from connectors.opensearch.admin.pipeline_bodies import (
    Wanted,
    check_name,
    connector_body,
    differences,
    is_ours,
    model_body,
    model_of,
    pipeline_body,
)
from connectors.opensearch.admin.pipeline_obstacles import obstacle
from sidecar.core.errors import ConfigurationError, EngineError, EngineRejected

Say = Callable[[str], None]
Made = TypeVar("Made")
# Seconds for searches under way to end, before the model they use is removed.
SETTLE = 5.0
_PROBE = ("is anybody there?", ('yes, "here" is $1\n', "no"))


@dataclass(frozen=True, slots=True)
class Usable:
    """The parts in the cluster that can stay, and the reasons why others can't."""

    connector: Found | None
    model: Found | None
    why: Sequence[str]


def usable(state: State, wanted: Wanted) -> Usable:
    """Choose connector and model: those that the pipeline uses if they fit, else any that do. No I/O."""
    in_use = model_of(state.pipeline) if state.pipeline else None
    models = sorted(state.models, key=lambda model: model.id != in_use)
    order = [model.body.get("connector_id") for model in models]
    connectors = sorted(state.connectors, key=lambda one: order.index(one.id) if one.id in order else len(order))
    wrong = {one.id: differences(one.body, wanted) for one in connectors}
    fitting = next((one for one in connectors if not wrong[one.id]), None)
    if fitting is None:
        return Usable(None, None, next(iter(wrong.values()), []))
    return Usable(fitting, next((model for model in models if model.body.get("connector_id") == fitting.id), None), [])


class Installation:
    """Installs one pipeline, or removes it; `say` gets a line for each step done.

    With `allow`, a setting of the cluster that prevents a step is changed; else it is an error whose remedy names the
    setting.
    """

    def __init__(self, ml: MlCommons, say: Say, *, allow: bool = False, settle: float = SETTLE) -> None:
        self.ml = ml
        self.allow = allow
        self.settle = settle
        self._say = say

    def install(self, wanted: Wanted) -> None:
        """Bring the cluster into the wanted state. Raises `ConfigurationError` or an `EngineError`."""
        state = self._try(wanted, lambda: self.ml.state(wanted.name))
        _refuse_foreign(state, wanted.name)
        kept = usable(state, wanted)
        connector = self._connector(state, kept, wanted)
        model = self._model(state, kept, wanted, connector)
        self._check(wanted, model)
        before = model_of(state.pipeline) if state.pipeline else None
        self._pipeline(state, wanted, model)
        old = [found for found in state.models if found.id != model]
        if any(found.id == before for found in old):
            self._wait()
        others = [found for found in state.connectors if found.id != connector]
        self._try(wanted, lambda: self._remove(old, others))

    def undo(self, name: str, index: str = "_all") -> None:
        """Remove the parts that were created under a name, and no others. Raises as `install` does.

        `index` says where to look for indexes that have it as their default pipeline.
        """
        check_name(name)
        self._try(None, lambda: self._undo(name, index))

    def _undo(self, name: str, index: str) -> None:
        state = self.ml.state(name)
        ours = state.pipeline is not None and is_ours(state.pipeline)
        if ours:
            self._take_back_defaults(name, index)
            self.ml.remove_pipeline(name)
            self._report("removed", "search pipeline", name)
            self._wait()
        elif state.pipeline is not None:
            self._report("kept", "search pipeline", name, "it was not made by install-pipeline")
        self._remove(state.models, state.connectors)
        for group in state.groups:
            gone = self.ml.remove_group(group.id)
            self._report(
                "removed" if gone else "kept", "model group", group.id, "" if gone else "others' models are in it"
            )
        if not (ours or state.models or state.connectors or state.groups):
            self._say(f"nothing to remove: nothing named {name} was made by install-pipeline")

    def make_default(self, index: str, name: str) -> None:
        """Make the pipeline the default of an index. Raises as `install` does."""
        found = self._try(None, lambda: self.ml.defaults(index))
        others = sorted({pipeline for pipeline in found.values() if pipeline != name})
        if others:
            raise ConfigurationError(
                f"{index} has the default search pipeline {', '.join(others)} already.",
                remedy="Set index.search.default_pipeline to null first, if that may go.",
            )
        if found:
            self._report("found", "default pipeline", index)
            return
        self._try(None, lambda: self.ml.set_default(index, name))
        self._report("created", "default pipeline", index, "a search without ext.rerank now fails there: 500")

    def _connector(self, state: State, kept: Usable, wanted: Wanted) -> str:
        if kept.connector is not None:
            self._report("found", "connector", kept.connector.id)
            return kept.connector.id
        body = connector_body(wanted, secrets.token_hex(8))
        made = self._try(wanted, lambda: self.ml.create_connector(body))
        self._report(_created(state.connectors), "connector", made, ", ".join(kept.why))
        return made

    def _model(self, state: State, kept: Usable, wanted: Wanted, connector: str) -> str:
        model = kept.model.id if kept.model else None
        if model is None:
            model = self._try(wanted, lambda: self.ml.register(model_body(wanted.name, connector)))
            self._report(_created(state.models), "model", model)
        else:
            self._report("found", "model", model)
        if not self.ml.is_deployed(model):
            self._try(wanted, lambda: self.ml.deploy(model))
            self._report("deployed", "model", model)
        return model

    def _check(self, wanted: Wanted, model: str) -> None:
        """Let OpenSearch call the sidecar once, as the processor will."""
        if isinstance(self.ml, Pretending) and not self.ml.is_deployed(model):
            return
        query, texts = _PROBE
        scores = self._try(wanted, lambda: self.ml.predict(model, query, texts))
        if scores != len(texts):
            raise EngineError(
                f"{wanted.endpoint} scored {scores} of {len(texts)} texts.", remedy="Is that a rerank-sidecar?"
            )
        self._report("asked", "sidecar", wanted.endpoint, "OpenSearch reaches it, and it answers")

    def _pipeline(self, state: State, wanted: Wanted, model: str) -> None:
        body = pipeline_body(wanted, model)
        if state.pipeline == body:
            self._report("found", "search pipeline", wanted.name)
            return
        self._try(wanted, lambda: self.ml.put_pipeline(wanted.name, body))
        self._report("replaced" if state.pipeline else "created", "search pipeline", wanted.name)

    def _remove(self, models: Sequence[Found], connectors: Sequence[Found]) -> None:
        for model in models:
            self.ml.remove_model(model.id)
            self._report("removed", "model", model.id)
        for connector in connectors:
            self.ml.remove_connector(connector.id)
            self._report("removed", "connector", connector.id)

    def _take_back_defaults(self, name: str, index: str) -> None:
        """Remove the pipeline as a default first: an index whose default pipeline is gone answers no search."""
        try:
            found = self.ml.defaults(index)
        except EngineRejected as refusal:
            if refusal.status != 403:
                raise
            self._say(
                "this account may not look at every index: one that has the pipeline as its default would now answer "
                "400; name it with --index"
            )
            return
        for own in sorted(own for own, pipeline in found.items() if pipeline == name):
            self.ml.set_default(own, None)
            self._report("removed", "default pipeline", own)

    def _wait(self) -> None:
        if not isinstance(self.ml, Pretending):
            self.ml.sleep(self.settle)

    def _try(self, wanted: Wanted | None, step: Callable[[], Made]) -> Made:
        """Do a step; change a setting that prevents it, if that is allowed and each setting once, or name it."""
        changed: set[str] = set()
        while True:
            try:
                return step()
            except EngineRejected as refusal:
                known = self.ml.settings() if refusal.status not in {401, 403} else None
                met = obstacle(refusal, wanted.endpoint if wanted else "", known)
                if met is None:
                    raise
                if not (self.allow and met.settings) or changed.issuperset(met.settings):
                    raise met.error(refusal) from None
                self._change(met.settings)
                changed.update(met.settings)

    def _change(self, settings: Mapping[str, Any]) -> None:
        try:
            self.ml.change_settings(settings)
        except EngineRejected as refusal:
            met = obstacle(refusal, "", None)
            raise (met.error(refusal) if met else refusal) from None
        for setting, value in settings.items():
            self._report("changed", "cluster setting", setting, f"now {value}")

    def _report(self, verb: str, kind: str, identity: str, note: str = "") -> None:
        self._say(f"{verb:<9} {kind:<16} {identity}{f'  ({note})' if note else ''}")


def _created(before: Sequence[Found]) -> str:
    return "replaced" if before else "created"


def _refuse_foreign(state: State, name: str) -> None:
    if state.pipeline is not None and not is_ours(state.pipeline):
        raise ConfigurationError(
            f"there is a search pipeline {name!r} that install-pipeline did not make.",
            remedy="Choose another --name.",
        )
