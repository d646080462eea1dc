"""What lies under `/_sidecar` on the OpenSearch face: health, metrics, models, the switch. It never gets further."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote

import msgspec

from sidecar.errors import ModelError, ScorerUnavailable
from sidecar.serving.asgi import Exchange
from sidecar.serving.bodies import Body
from sidecar.serving.headers import OUR_KEY, Headers
from sidecar.serving.metrics import Metrics
from sidecar.serving.opensearch_errors import JSON
from sidecar.serving.service import RerankingService

_RELOAD = re.compile(rb"/models/[^/]+/reload")
_METRICS: Headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]


class Switch(Protocol):
    """What can be switched off and on while it runs."""

    enabled: bool


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool


class Management:
    """Answers health, metrics, the switch (`/rerank`), `/models` and `/models/NAME/reload`, under `/_sidecar`.

    With an `api_key`, all but health ask for it: `Authorization: Bearer KEY` or `X-Sidecar-Api-Key: KEY`. Without one
    no model is loaded anew.
    """

    def __init__(self, service: RerankingService, metrics: Metrics, switch: Switch, api_key: str | None) -> None:
        self.service = service
        self.metrics = metrics
        self.switch = switch
        self.api_key = api_key

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.raw_path.removeprefix(b"/_sidecar")
        if path == b"/health/live":
            await _answer(exchange, 200, {"status": "live"})
        elif path in {b"/health/ready", b"/ready"}:
            scorer = self.service.scorer
            said = {"status": "ready"} if scorer.ready else {"status": "not ready", "reason": scorer.why_not_ready}
            await _answer(exchange, 200 if scorer.ready else 503, said)
        elif path not in {b"/metrics", b"/rerank", b"/models"} and not _RELOAD.fullmatch(path):
            await _answer(exchange, 404, {"error": "there is nothing here"})
        elif not key_fits(self.api_key, exchange):
            await _answer(exchange, 401, {"error": "the sidecar's API key is missing or wrong"})
        elif path == b"/metrics":
            await exchange.answer(200, _METRICS, self.metrics.text(self.service))
        elif path == b"/rerank":
            await self._switch(exchange)
        elif path == b"/models":
            scorer = self.service.scorer
            await _answer(exchange, 200, {"models": {name: scorer.identities.get(name) for name in scorer.models}})
        else:
            await self._reload(exchange, unquote(path.split(b"/")[2].decode("ascii", "replace")))

    async def _reload(self, exchange: Exchange, model: str) -> None:
        """Read a model's files anew; whoever scores with it meanwhile does so with the one before."""
        scorer = self.service.scorer
        if exchange.method != "POST":
            await _answer(exchange, 405, {"error": "a model is loaded anew by POST"})
        elif self.api_key is None:
            await _answer(exchange, 403, {"error": "models are loaded anew only where SIDECAR_API_KEY is set"})
        elif model not in scorer.models:
            await _answer(exchange, 404, {"error": f"no model {model!r} is declared"})
        else:
            try:
                await scorer.reload(model)
            except ModelError as error:
                await _answer(exchange, 409, {"error": f"the model that was there stays: {error.message}"})
            except ScorerUnavailable as error:
                await _answer(exchange, 503, {"error": error.message})
            else:
                await _answer(exchange, 200, {"model": model, "identity": scorer.identities.get(model)})

    async def _switch(self, exchange: Exchange) -> None:
        if exchange.method in {"PUT", "POST"}:
            body = Body(exchange.receive, limit=1024, seconds=10)
            await body.read()
            try:
                self.switch.enabled = msgspec.json.decode(body.prefix, type=_Wanted).enabled
            except msgspec.DecodeError as error:
                await _answer(exchange, 400, {"error": f'expected {{"enabled": true or false}}: {error}'})
                return
        await _answer(exchange, 200, {"enabled": self.switch.enabled})


def key_fits(api_key: str | None, exchange: Exchange) -> bool:
    """Whether a request brings our key, compared in constant time; True where there is none to bring."""
    if api_key is None:
        return True
    scheme, _, token = exchange.header(b"authorization").partition(b" ")
    # A scheme's name may be written either way (RFC 9110, section 11.1).
    brought = exchange.header(OUR_KEY) or (token.strip() if scheme.lower() == b"bearer" else b"")
    return hmac.compare_digest(brought, api_key.encode())


async def _answer(exchange: Exchange, status: int, said: Mapping[str, object]) -> None:
    await exchange.answer(status, JSON, msgspec.json.encode(said))
