"""The requests that `install-pipeline` sends, one method each; writes go out once. Decides nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from opensearchpy import OpenSearch, TransportError

from connectors.opensearch.admin.pipeline_bodies import is_ours
from connectors.opensearch.transport import engine_error, for_writing
from sidecar.core.errors import EngineError, EngineRejected

# Seconds until a model that was undeployed may be deleted.
UNDEPLOYING = 10.0
_DEFAULT = "index.search.default_pipeline"
_DEPLOY_SECONDS = 60.0
_FORBIDDEN, _NOT_FOUND, _CONFLICT = 403, 404, 409
_MOST = 1000
NOT_MADE = "-"


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is in the cluster."""

    id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """Our parts in the cluster under one name, the newest first; `pipeline` is whatever bears the name."""

    connectors: Sequence[Found]
    models: Sequence[Found]
    groups: Sequence[Found]
    pipeline: Mapping[str, Any] | None


class MlCommons:
    """A cluster's ML Commons and search pipelines. Every method raises an `EngineError`."""

    def __init__(self, client: OpenSearch, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._transport = for_writing(client).transport
        self.sleep = sleep

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request and decode its answer."""
        try:
            return self._transport.perform_request(method, f"/{path}", body=body)
        except TransportError as error:
            raise engine_error(self._client, error) from error

    def state(self, name: str) -> State:
        """Read what of ours is there."""
        return State(
            self._ours("connectors", name),
            self._ours("models", name),
            self._ours("model_groups", name),
            self.pipeline(name),
        )

    def _ours(self, kind: str, name: str) -> list[Found]:
        query = {"query": {"term": {"name.keyword": name}}, "size": _MOST, "sort": [{"last_updated_time": "desc"}]}
        try:
            hits = self.ask("POST", f"_plugins/_ml/{kind}/_search", query)["hits"]["hits"]
        except EngineRejected as refusal:
            if refusal.status != _NOT_FOUND:  # before the first of its kind is made there is no index of them
                raise
            return []
        return [Found(hit["_id"], hit["_source"]) for hit in hits if is_ours(hit["_source"])]

    def pipeline(self, name: str) -> Mapping[str, Any] | None:
        """The search pipeline of that name."""
        try:
            found: Mapping[str, Any] | None = self.ask("GET", f"_search/pipeline/{name}").get(name)
        except EngineRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            return None
        return found

    def create_connector(self, body: Mapping[str, Any]) -> str:
        """Returns its id."""
        return str(self.ask("POST", "_plugins/_ml/connectors/_create", body)["connector_id"])

    def register(self, body: Mapping[str, Any]) -> str:
        """Register a model; returns its id."""
        return str(self.ask("POST", "_plugins/_ml/models/_register", body)["model_id"])

    def is_deployed(self, model: str) -> bool:
        """Whether a model is ready on every node that is to run it."""
        return bool(self.ask("GET", f"_plugins/_ml/models/{model}").get("model_state") == "DEPLOYED")

    def deploy(self, model: str) -> None:
        """Deploy a model and wait until it is."""
        self.ask("POST", f"_plugins/_ml/models/{model}/_deploy")
        for _ in range(int(_DEPLOY_SECONDS / 0.2)):
            if self.is_deployed(model):
                return
            self.sleep(0.2)
        raise EngineError(
            f"the model {model} was not deployed within {_DEPLOY_SECONDS:g} s.",
            remedy="Look at the log of OpenSearch, then run this again.",
        )

    def predict(self, model: str, query: str, texts: Sequence[str]) -> int:
        """Have the model score texts; returns how many scores came."""
        asked = {"query_text": query, "text_docs": list(texts)}
        answer = self.ask("POST", f"_plugins/_ml/_predict/text_similarity/{model}", asked)
        return len(answer["inference_results"][0].get("output") or [])

    def put_pipeline(self, name: str, body: Mapping[str, Any]) -> None:
        """Make a search pipeline, or put another in its place at once."""
        self.ask("PUT", f"_search/pipeline/{name}", body)

    def remove_pipeline(self, name: str) -> None:
        """Delete a search pipeline."""
        self.ask("DELETE", f"_search/pipeline/{name}")

    def remove_model(self, model: str) -> None:
        """Undeploy a model and delete it; fine if it is gone. A model counts as deployed for a moment longer."""
        self._unless_gone("POST", f"{model}/_undeploy")
        deadline = time.monotonic() + UNDEPLOYING
        while True:
            try:
                self._unless_gone("DELETE", model)
            except EngineRejected as refusal:
                if "undeploy model first" not in refusal.message or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def _unless_gone(self, method: str, path: str) -> None:
        try:
            self.ask(method, f"_plugins/_ml/models/{path}")
        except EngineRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    def remove_connector(self, connector: str) -> None:
        """Delete a connector; refused while a model uses it."""
        self.ask("DELETE", f"_plugins/_ml/connectors/{connector}")

    def remove_group(self, group: str) -> bool:
        """Delete a group of models; False if others are in it, and it stays."""
        try:
            self.ask("DELETE", f"_plugins/_ml/model_groups/{group}")
        except EngineRejected as refusal:
            if refusal.status != _CONFLICT:
                raise
            return False
        return True

    def defaults(self, index: str) -> dict[str, str]:
        """The default pipeline of each index that an expression names and that has one."""
        found = self.ask(
            "GET", f"{quote(index, safe=',*')}/_settings/{_DEFAULT}?flat_settings=true&expand_wildcards=all"
        )
        named = ((name, one["settings"].get(_DEFAULT, "_none")) for name, one in found.items())
        return {name: pipeline for name, pipeline in named if pipeline != "_none"}

    def set_default(self, index: str, name: str | None) -> None:
        """Set the default pipeline of an index; None takes it back."""
        self.ask("PUT", f"{quote(index, safe=',*')}/_settings", {_DEFAULT: name})

    def settings(self) -> Mapping[str, Any] | None:
        """The cluster's settings by their full names, None where this account may not read them."""
        try:
            found = self.ask("GET", "_cluster/settings?include_defaults=true&flat_settings=true")
        except EngineRejected as refusal:
            if refusal.status != _FORBIDDEN:
                raise
            return None
        return {**found.get("defaults", {}), **found["persistent"], **found["transient"]}

    def change_settings(self, settings: Mapping[str, Any]) -> None:
        """Change settings of the cluster, for good."""
        self.ask("PUT", "_cluster/settings", {"persistent": dict(settings)})

    def search(self, index: str, body: Mapping[str, Any], pipeline: str) -> Any:
        """Search through a pipeline."""
        return self.ask("POST", f"{quote(index, safe=',*')}/_search?search_pipeline={pipeline}", body)


class Pretending(MlCommons):
    """The same for a dry run: it reads, and writes nothing; what would be made has no id yet."""

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask, if the question changes nothing."""
        if method == "GET" or re.search(r"/_search\b|/_predict/", path):
            return super().ask(method, path, body)
        return {"connector_id": NOT_MADE, "model_id": NOT_MADE}

    def is_deployed(self, model: str) -> bool:
        """Look, unless it would have to be made first."""
        return model != NOT_MADE and super().is_deployed(model)

    def deploy(self, model: str) -> None:
        """Do nothing."""
