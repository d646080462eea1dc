"""Requests under `/_sidecar` on both ports: health, metrics, status, models, the switch. They are not forwarded."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Protocol
from urllib.parse import unquote

import msgspec

from sidecar.core.errors import ModelError, ScorerUnavailable
from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.errors import JSON
from sidecar.serving.http.headers import Headers
from sidecar.serving.http.management_access import is_json, key_fits, obstacle_to_change
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.http.request_body import Body, BodyLimits, BodyTooSlow
from sidecar.serving.proxy.cluster_health import ClusterHealth
from sidecar.serving.scorer.service import RerankingService
from sidecar.serving.status import status

_RELOAD = re.compile(rb"/models/[^/]+/reload")
_METRICS: Headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
_READING = ("GET", "HEAD")
_SWITCH_LIMITS = BodyLimits(size=1024, part_seconds=10, whole_seconds=10)
# Path → its methods; a method that does not only read needs permission to change something.
_METHODS = {
    b"/health/live": _READING,
    b"/health/ready": _READING,
    b"/health/ready/scorer": _READING,
    b"/health/ready/opensearch": _READING,
    b"/ready": _READING,
    b"/metrics": _READING,
    b"/models": _READING,
    b"/status": _READING,
    b"/rerank": (*_READING, "POST", "PUT"),
}


class Switch(Protocol):
    """A switch for reranking, off and on while the service runs."""

    enabled: bool


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool


class Management:
    """Answers health, metrics, `/status`, the switch (`/rerank`), `/models`, `/models/NAME/reload`, all in `/_sidecar`.

    With an `api_key`, all but health require it: `Authorization: Bearer KEY` or `X-Sidecar-Api-Key: KEY`. Without one
    no model can be reloaded, and only this machine can switch, under its own name or one of `allowed_hosts`.
    """

    def __init__(  # noqa: PLR0913  independent parts
        self,
        service: RerankingService,
        cluster: ClusterHealth,
        metrics: Metrics,
        switch: Switch,
        *,
        api_key: str | None,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self.service = service
        self.cluster = cluster
        self.metrics = metrics
        self.switch = switch
        self.api_key = api_key
        self.allowed_hosts = allowed_hosts

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.raw_path.removeprefix(b"/_sidecar")
        methods = ("POST",) if _RELOAD.fullmatch(path) else _METHODS.get(path)
        if methods is None:
            await _answer(exchange, 404, {"error": "there is nothing here"})
        elif exchange.method not in methods:
            allow = ", ".join(methods)
            await _answer(exchange, 405, {"error": f"this takes {allow}"}, [(b"allow", allow.encode())])
        elif path.startswith((b"/health/", b"/ready")):
            await self._health(exchange, path)
        elif not key_fits(self.api_key, exchange):
            await _answer(exchange, 401, {"error": "the sidecar's API key is missing or wrong"})
        elif exchange.method not in _READING and (
            obstacle := obstacle_to_change(exchange, self.api_key is not None, self.allowed_hosts)
        ):
            await _answer(exchange, 403, {"error": obstacle})
        elif path == b"/metrics":
            await exchange.answer(200, _METRICS, self.metrics.text(self.service))
        elif path == b"/rerank":
            await self._switch(exchange)
        elif path == b"/status":
            found = await status(self.service, self.cluster, self.metrics, enabled=self.switch.enabled)
            await _answer(exchange, 200, found)
        elif path == b"/models":
            scorers = self.service.scorers
            models = {name: scorers.of(name).identity(name) for name in scorers.models}
            await _answer(exchange, 200, {"models": models})
        else:
            await self._reload(exchange, unquote(path.split(b"/")[2].decode("ascii", "replace")))

    async def _health(self, exchange: Exchange, path: bytes) -> None:
        if path == b"/health/live":
            await _answer(exchange, 200, {"status": "live"})
            return
        wanted = path.removeprefix(b"/health").removeprefix(b"/ready")
        reasons = {}
        if wanted != b"/opensearch":
            reasons["scorer"] = self.service.scorers.why_not_ready
        if wanted != b"/scorer":
            reasons["opensearch"] = await self.cluster.check()
        parts = {name: _state(reason) for name, reason in reasons.items()}
        reason = "; ".join(f"{name}: {why}" for name, why in reasons.items() if why)
        processes = self.service.scorers.processes if wanted != b"/opensearch" else []
        up = {"processes": len(processes), "up": sum(one.up for one in processes)} if len(processes) > 1 else {}
        await _answer(exchange, 503 if reason else 200, _state(reason) | (parts if len(parts) > 1 else {}) | up)

    async def _reload(self, exchange: Exchange, model: str) -> None:
        """Read a model's files again; requests that the previous model is scoring are not affected."""
        scorers = self.service.scorers
        if self.api_key is None:
            await _answer(exchange, 403, {"error": "models can be reloaded only if SIDECAR_API_KEY is set"})
        elif model not in scorers.models:
            await _answer(exchange, 404, {"error": f"no model {model!r} is declared"})
        else:
            try:
                await scorers.of(model).reload(model)
            except ModelError as error:
                await _answer(exchange, 409, {"error": f"the previous model stays: {error.message}"})
            except ScorerUnavailable as error:
                await _answer(exchange, 503, {"error": error.message})
            else:
                await _answer(exchange, 200, {"model": model, "identity": scorers.of(model).identity(model)})

    async def _switch(self, exchange: Exchange) -> None:
        if exchange.method not in _READING:
            if not is_json(exchange):
                await _answer(exchange, 415, {"error": "send application/json"})
                return
            body = Body(exchange.receive, _SWITCH_LIMITS)
            try:
                await body.read()
                self.switch.enabled = msgspec.json.decode(body.prefix, type=_Wanted).enabled
            except BodyTooSlow:
                await _answer(exchange, 408, {"error": "the request's body did not arrive in time"})
                return
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                await _answer(exchange, 400, {"error": f'expected {{"enabled": true or false}}: {error}'})
                return
        await _answer(exchange, 200, {"enabled": self.switch.enabled})


def _state(reason: str) -> dict[str, object]:
    return {"status": "not ready", "reason": reason} if reason else {"status": "ready"}


async def _answer(exchange: Exchange, status: int, said: Mapping[str, object], extra: Headers | None = None) -> None:
    await exchange.answer(status, [*JSON, *(extra or [])], msgspec.json.encode(said))
