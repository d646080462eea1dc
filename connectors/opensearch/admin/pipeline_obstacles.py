"""Reasons why a cluster refuses to call the sidecar, and the setting or permission that would allow it. No I/O.

They are read from the words of OpenSearch's refusals (2.19.1, measured), because an account may create a pipeline
without seeing settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sidecar.core.errors import EngineRejected

ML = "plugins.ml_commons."
TRUSTED = ML + "trusted_connector_endpoints_regex"
PRIVATE = ML + "connector.private_ip_enabled"
REMOTE = ML + "remote_inference.enabled"
ONLY_ML_NODES = ML + "only_run_on_ml_node"
ELIGIBLE = ML + "task_dispatcher.eligible_node_role.remote_model"
# Permissions that installing, replacing and undoing need together. On an index, --index needs `read`, and --default
# `indices:monitor/settings/get` and `indices:admin/settings/update`.
PERMISSIONS = tuple(
    f"cluster:admin/{name}"
    for name in (
        *(
            f"opensearch/ml/{kind}/{verb}"
            for kind in ("connectors", "models", "model_groups")
            for verb in ("search", "delete")
        ),
        *(f"opensearch/ml/{verb}" for verb in ("create_connector", "register_model", "register_model_group")),
        *(
            f"opensearch/ml/{verb}"
            for verb in ("models/get", "deploy_model", "undeploy_model", "undeploy_models", "predict")
        ),
        *(f"search/pipeline/{verb}" for verb in ("get", "put", "delete")),
    )
)
_NO_PERMISSION = re.compile(r"no permissions for \[([^\]]+)\]")
_FROM_SIDECAR = "Error from remote service"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A missing setting or right; `settings` are those that would allow the step, None if no setting would."""

    why: str
    remedy: str
    settings: Mapping[str, Any] | None = None

    def request(self) -> str:
        """The request that would allow the step, as one would type it."""
        return f"PUT _cluster/settings\n{msgspec.json.encode({'persistent': self.settings}).decode()}"

    def error(self, refusal: EngineRejected) -> EngineRejected:
        """The refusal as an error of ours."""
        allowing = f"\n{self.request()}" if self.settings else ""
        return EngineRejected(self.why, status=refusal.status, body=refusal.body, remedy=self.remedy + allowing)


def obstacle(refusal: EngineRejected, endpoint: str, known: Mapping[str, Any] | None) -> Obstacle | None:
    """Find the obstacle behind a refusal; None if it is not a known one.

    `endpoint` is the URL that OpenSearch is to call, `known` the cluster's settings by their full names, None where
    this account may not read them.
    """
    said = refusal.message
    if found := _NO_PERMISSION.search(said):
        return _permission(found[1])
    for words, meaning in _MEANINGS.items():
        if words in said:
            return meaning(endpoint, known, said)
    return None


def _permission(name: str) -> Obstacle:
    needed = ", ".join(PERMISSIONS)
    return Obstacle(
        f"this account lacks the permission {name}.",
        f"Ask for it, or use an account that has it (the role ml_full_access has most). The whole job takes {needed}.",
    )


def _untrusted(endpoint: str, known: Mapping[str, Any] | None, said: str) -> Obstacle:
    del said
    before = list((known or {}).get(TRUSTED) or [])
    hidden = "" if known is not None else " This account can't see which are trusted now: add them, or they are lost."
    return Obstacle(
        f"the cluster does not trust {endpoint}: {TRUSTED} has no expression that matches it as it is written.",
        f"Allow it (--allow does), or write the URL as it is trusted.{hidden}",
        {TRUSTED: [*before, f"^{re.escape(endpoint)}$"]},
    )


def _private(endpoint: str, known: Mapping[str, Any] | None, said: str) -> Obstacle:
    del endpoint, known, said
    return Obstacle(
        "the sidecar has a private address, and the cluster calls none.",
        "Allow them (--allow does), or give the sidecar a public name.",
        {PRIVATE: True},
    )


def _disabled(endpoint: str, known: Mapping[str, Any] | None, said: str) -> Obstacle:
    del endpoint
    # The message of 2.19.1 names a setting that it does not have.
    named = next(iter(re.findall(r'"(plugins\.ml_commons\.[\w.]+)"', said)), REMOTE)
    return Obstacle(
        "remote models are switched off in this cluster.",
        "Switch them on (--allow does).",
        {named if known and named in known else REMOTE: True},
    )


def _no_node(endpoint: str, known: Mapping[str, Any] | None, said: str) -> Obstacle:
    del endpoint, said
    wanted: dict[str, Any] = {ONLY_ML_NODES: False}
    if known and "data" not in known.get(ELIGIBLE, ["data"]):
        wanted[ELIGIBLE] = ["data", "ml"]
    return Obstacle(
        "no node of the cluster may run the model: they are no ML nodes.",
        "Give a node the role ml, or allow the others (--allow does).",
        wanted,
    )


def _no_ml_commons(*_: object) -> Obstacle:
    return Obstacle(
        "the cluster has no ML Commons.",
        "Install the plugins opensearch-ml and opensearch-neural-search on every node; or let searches go through "
        "`sidecar serve`, which needs neither. Elasticsearch has no such plugins.",
    )


def _no_neural_search(*_: object) -> Obstacle:
    return Obstacle(
        "the cluster has no rerank processor.",
        "Install the plugin opensearch-neural-search (2.12 or later) on every node.",
    )


def _unreachable(endpoint: str, known: Mapping[str, Any] | None, said: str) -> Obstacle:
    del known
    return Obstacle(
        f"OpenSearch can't reach the sidecar at {endpoint}: {said.rpartition('remote model: ')[2]}",
        "Start `sidecar serve` and give its URL as OpenSearch's nodes reach it (localhost is each node itself; "
        "--host 0.0.0.0 has it listen on every address). What was made is kept: run this again.",
    )


def _refused(endpoint: str, known: Mapping[str, Any] | None, said: str) -> Obstacle:
    del known
    message = said.partition(_FROM_SIDECAR)[2].strip(": ")
    return Obstacle(
        f"the sidecar at {endpoint} refused: {message[:300]}",
        "If it asks for a key, set SIDECAR_API_KEY as the service has it; --model names a model that it declares. "
        "What was made is kept: run this again.",
    )


def _no_sidecar(endpoint: str, known: Mapping[str, Any] | None, said: str) -> Obstacle:
    del known, said
    return Obstacle(
        f"what answers at {endpoint} is no rerank server.",
        "Give the port of the rerank API (9281 unless set otherwise), not that of OpenSearch's API.",
    )


# In this order: the message of a sidecar may hold the words of any other entry.
_MEANINGS: dict[str, Callable[[str, Mapping[str, Any] | None, str], Obstacle]] = {
    _FROM_SIDECAR: _refused,
    "trusted connector endpoint regex": _untrusted,
    "private ip address": _private,
    "Remote Inference is currently disabled": _disabled,
    "o eligible node": _no_node,
    "no handler found for uri": _no_ml_commons,
    "Invalid processor type rerank": _no_neural_search,
    "Error communicating with remote model": _unreachable,
    "Fail to execute PREDICT": _no_sidecar,
}
