"""The requests that `install-pipeline` sends, one method each. A write is sent once."""

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

# Seconds until a model that was undeployed, or the connector of a model that was deleted, may be deleted.
REMOVING = 10.0
_DEFAULT = "index.search.default_pipeline"
_DEPLOY_SECONDS = 60.0
_FORBIDDEN, _NOT_FOUND, _CONFLICT = 403, 404, 409
_MOST = 1000
NOT_MADE = "-"


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a pipeline that the cluster has."""

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

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request and decode its answer."""
        try:
            return self._transport.perform_request(method, f"/{path}", body=body)
        except TransportError as error:
            raise engine_error(self._client, error) from error

    def state(self, name: str) -> State:
        """Read which of our parts the cluster has."""
        return State(
            self._ours("connectors", name),
            self._ours("models", name),
            self._ours("model_groups", name),
            self.pipeline(name),
        )

    def _ours(self, kind: str, name: str) -> list[Found]:
        query = {"query": {"term": {"name.keyword": name}}, "size": _MOST, "sort": [{"last_updated_time": "desc"}]}
        try:
            hits = self.request("POST", f"_plugins/_ml/{kind}/_search", query)["hits"]["hits"]
        except EngineRejected as refusal:
            if refusal.status != _NOT_FOUND:  # before the first of its kind is made there is no index of them
                raise
            return []
        return [Found(hit["_id"], hit["_source"]) for hit in hits if is_ours(hit["_source"])]

    def pipeline(self, name: str) -> Mapping[str, Any] | None:
        """Return the search pipeline of that name."""
        try:
            found: Mapping[str, Any] | None = self.request("GET", f"_search/pipeline/{name}").get(name)
        except EngineRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            return None
        return found

    def create_connector(self, body: Mapping[str, Any]) -> str:
        """Create a connector; return its id."""
        return str(self.request("POST", "_plugins/_ml/connectors/_create", body)["connector_id"])

    def register(self, body: Mapping[str, Any]) -> str:
        """Register a model; return its id."""
        return str(self.request("POST", "_plugins/_ml/models/_register", body)["model_id"])

    def is_deployed(self, model: str) -> bool:
        """Tell whether a model is ready on every node that is to run it."""
        return bool(self.request("GET", f"_plugins/_ml/models/{model}").get("model_state") == "DEPLOYED")

    def deploy(self, model: str) -> None:
        """Deploy a model and wait until it is deployed."""
        self.request("POST", f"_plugins/_ml/models/{model}/_deploy")
        for _ in range(int(_DEPLOY_SECONDS / 0.2)):
            if self.is_deployed(model):
                return
            self.sleep(0.2)
        raise EngineError(
            f"the model {model} was not deployed within {_DEPLOY_SECONDS:g} s.",
            remedy="Look at the log of OpenSearch, then run this again.",
        )

    def predict(self, model: str, query: str, texts: Sequence[str]) -> int:
        """Let the model score texts; return how many scores came."""
        texts_to_score = {"query_text": query, "text_docs": list(texts)}
        answer = self.request("POST", f"_plugins/_ml/_predict/text_similarity/{model}", texts_to_score)
        return len(answer["inference_results"][0].get("output") or [])

    def put_pipeline(self, name: str, body: Mapping[str, Any]) -> None:
        """Create a search pipeline, or replace it at once."""
        self.request("PUT", f"_search/pipeline/{name}", body)

    def remove_pipeline(self, name: str) -> None:
        """Delete a search pipeline."""
        self.request("DELETE", f"_search/pipeline/{name}")

    def remove_model(self, model: str) -> None:
        """Undeploy a model and delete it, if it is still there. A model counts as deployed for a moment longer."""
        self._unless_gone("POST", f"{model}/_undeploy")
        _while_refused("undeploy model first", lambda: self._unless_gone("DELETE", model))

    def _unless_gone(self, method: str, path: str) -> None:
        try:
            self.request(method, f"_plugins/_ml/models/{path}")
        except EngineRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    def remove_connector(self, connector: str) -> None:
        """Delete a connector. OpenSearch refuses that while a model uses it, and a moment longer."""
        _while_refused(
            "still using this connector", lambda: self.request("DELETE", f"_plugins/_ml/connectors/{connector}")
        )

    def remove_group(self, group: str) -> bool:
        """Delete a group of models; return False if others are in it, so that it stays."""
        try:
            self.request("DELETE", f"_plugins/_ml/model_groups/{group}")
        except EngineRejected as refusal:
            if refusal.status != _CONFLICT:
                raise
            return False
        return True

    def defaults(self, index: str) -> dict[str, str]:
        """Return the default pipeline of each index that an expression names and that has one."""
        found = self.request(
            "GET", f"{quote(index, safe=',*')}/_settings/{_DEFAULT}?flat_settings=true&expand_wildcards=all"
        )
        named = ((name, one["settings"].get(_DEFAULT, "_none")) for name, one in found.items())
        return {name: pipeline for name, pipeline in named if pipeline != "_none"}

    def set_default(self, index: str, name: str | None) -> None:
        """Set the default pipeline of an index; None removes it."""
        self.request("PUT", f"{quote(index, safe=',*')}/_settings", {_DEFAULT: name})

    def settings(self) -> Mapping[str, Any] | None:
        """Return the cluster's settings by their full names, None if this account may not read them."""
        try:
            found = self.request("GET", "_cluster/settings?include_defaults=true&flat_settings=true")
        except EngineRejected as refusal:
            if refusal.status != _FORBIDDEN:
                raise
            return None
        return {**found.get("defaults", {}), **found["persistent"], **found["transient"]}

    def change_settings(self, settings: Mapping[str, Any]) -> None:
        """Change settings of the cluster; they survive a restart."""
        self.request("PUT", "_cluster/settings", {"persistent": dict(settings)})

    def search(self, index: str, body: Mapping[str, Any], pipeline: str) -> Any:
        """Search through a pipeline."""
        return self.request("POST", f"{quote(index, safe=',*')}/_search?search_pipeline={pipeline}", body)


def _while_refused(words: str, step: Callable[[], object]) -> None:
    """Do a step again while OpenSearch refuses it with these words, for `REMOVING` seconds at most."""
    deadline = time.monotonic() + REMOVING
    while True:
        try:
            step()
        except EngineRejected as refusal:
            if words not in refusal.message or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


class Pretending(MlCommons):
    """`MlCommons` for a dry run: it reads, and writes nothing; a part that would be created has no id yet."""

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request that changes nothing; leave out any other."""
        if method == "GET" or re.search(r"/_search\b|/_predict/", path):
            return super().request(method, path, body)
        return {"connector_id": NOT_MADE, "model_id": NOT_MADE}

    def is_deployed(self, model: str) -> bool:
        """Read a model's state, unless the model would have to be created first."""
        return model != NOT_MADE and super().is_deployed(model)

    def deploy(self, model: str) -> None:
        """Do nothing."""
