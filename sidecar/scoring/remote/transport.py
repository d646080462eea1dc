"""One server of a remote scorer over HTTP: what an answer means for the attempt, the server and the batch.

Redirects are not followed, so that a key goes nowhere but to the servers that were named.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.errors import ModelError, ScorerBusy, ScorerUnavailable, ScoringError, SidecarError
from sidecar.core.model_spec import Remote
from sidecar.core.trace import ClientRequest
from sidecar.scoring.remote.server_info import ServerInfo, describe
from sidecar.version import __version__

KEY_VARIABLE = "SIDECAR_REMOTE_API_KEY"
# Seconds for a server to tell about itself.
DESCRIBE_SECONDS = 5.0
# Bytes of an answer: a score needs about 60.
LARGEST_ANSWER = 16 * 2**20
_OK, _BUSY, _TOO_LARGE, _REFUSED = 200, 429, {413, 422}, {401, 403}
# What callers say of themselves to whoever is in their trace; a server of scores may be another company's.
_BAGGAGE = "baggage"
_TRANSIENT = {408, 425, 500, 502, 503, 504}


class TooLarge(Exception):
    """The server takes fewer passages in one request."""


class Again(Exception):
    """An attempt failed in a way that another one may not; `after` is when the server wants it, in seconds."""

    def __init__(self, error: SidecarError, after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after = after


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer: its JSON, and the tokens that its headers tell (`X-Compute-Tokens`), None if they do not."""

    content: object
    tokens: int | None = None


class Server:
    """A server at `url`.

    `info` is what it told about itself, None before that and after a failure; `largest` is how many passages it takes.
    `in_flight` are the requests without an answer, `tried` those so far. `session` has to be set before any is sent.
    `key_variable` names the variable of its key, and `hint` says what to do if it has no such API, both for messages.
    """

    session: aiohttp.ClientSession

    def __init__(
        self,
        url: str,
        remote: Remote,
        breaker: CircuitBreaker,
        *,
        key_variable: str = KEY_VARIABLE,
        hint: str = "Name its API by SIDECAR_REMOTE_DIALECT.",
    ) -> None:
        self.url = url
        self.breaker = breaker
        self.info: ServerInfo | None = None
        self.in_flight = self.tried = self.largest = 0
        self._remote = remote
        self._key_variable = key_variable
        self._hint = hint

    async def describe(self) -> ServerInfo:
        """Ask the server about itself. Raises ScorerUnavailable, ModelError."""
        self.info = await describe(self.url, self._remote, self.get)
        self.largest = self._remote.batch or self.info.largest
        return self.info

    async def post(self, path: str, body: object, count: int) -> Reply:
        """Send a request with `count` passages and return the answer.

        Raises TooLarge and Again; ScoringError if another attempt would fail likewise.
        """
        try:
            with ClientRequest("POST", self.url, path, lambda: path) as sent:
                headers = {name: value for name, value in sent.headers.items() if value and name != _BAGGAGE}
                async with self.session.post(
                    self.url + path, json=body, headers=headers, allow_redirects=False
                ) as response:
                    sent.answered(response.status, is_error=response.status != _OK)
                    text = await self._read(response)
        except aiohttp.ClientError as error:
            raise self.lost(f"can't be reached: {type(error).__name__}") from error
        status = response.status
        if status in _TOO_LARGE and count > 1:
            raise TooLarge
        if status == _BUSY:
            raise Again(ScorerBusy(f"{self.url} is busy (HTTP {status})"), _seconds(response.headers))
        if status in _TRANSIENT:
            raise self.lost(f"answers HTTP {status}", _seconds(response.headers))
        if status != _OK:
            raise self._refusal(status, text)
        return Reply(_as_json(text, self.url), _tokens(response.headers))

    async def post_within(self, seconds: float, path: str, body: object, count: int) -> Reply:
        """Do what `post` does; no answer within `seconds` is a failure of the server, which raises Again."""
        try:
            async with asyncio.timeout(seconds):
                answer = await self.post(path, body, count)
        except TimeoutError:
            raise self.lost(f"did not answer within {seconds:.3g} s") from None
        self.breaker.succeeded()
        return answer

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        text = bytearray()
        async for block in response.content.iter_chunked(2**16):
            text += block
            if len(text) > LARGEST_ANSWER:
                raise ScoringError(f"{self.url} answers with more than {LARGEST_ANSWER} bytes.")
        return bytes(text)

    async def get(self, path: str) -> object:
        """Return the JSON at a path; None if there is none. Raises ScorerUnavailable, ModelError for a refused key."""
        timeout = aiohttp.ClientTimeout(DESCRIBE_SECONDS)
        try:
            async with self.session.get(self.url + path, timeout=timeout, allow_redirects=False) as response:
                text = await self._read(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ScorerUnavailable(f"{self.url} can't be reached: {type(error).__name__}") from error
        if response.status in _REFUSED:
            raise ModelError(f"{self.url} refuses the key (HTTP {response.status}).", remedy=self._set_key)
        if response.status == _BUSY or response.status in _TRANSIENT:
            raise ScorerUnavailable(f"{self.url} answers HTTP {response.status}")
        with contextlib.suppress(ScoringError):
            return _as_json(text, self.url) if response.status == _OK else None
        return None

    def lost(self, why: str, after: float | None = None) -> Again:
        """Count a failure of a server; what it told about itself may no longer hold."""
        self.breaker.failed(asyncio.get_running_loop().time())
        self.info = None
        return Again(ScorerUnavailable(f"{self.url} {why}"), after)

    @property
    def _set_key(self) -> str:
        return f"Set {self._key_variable}."

    def _refusal(self, status: int, text: bytes) -> ScoringError:
        told = " ".join(text[:300].decode("utf-8", "replace").split())
        if self._remote.api_key:
            told = told.replace(self._remote.api_key, "***")
        if status in _REFUSED:
            return ScoringError(f"{self.url} refuses the key (HTTP {status}).", remedy=self._set_key)
        hint = self._hint if status in {404, 405} else ""
        return ScoringError(f"{self.url} refuses the request (HTTP {status}): {told}", remedy=hint)


def session_for(remote: Remote) -> aiohttp.ClientSession:
    """Open a session that sends the key, keeps no cookies, and has no limit of its own."""
    headers = {"user-agent": f"rerank-sidecar/{__version__}", "accept": "application/json"}
    if remote.api_key is not None:
        headers["authorization"] = f"Bearer {remote.api_key}"
    return aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    )


def _as_json(text: bytes, url: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        start = " ".join(text[:60].decode("utf-8", "replace").split())
        raise ScoringError(f"{url} answers with no JSON: {start!r}.") from None


def _tokens(headers: Mapping[str, str]) -> int | None:
    """Return `X-Compute-Tokens`, None if it is absent or no number above 0."""
    told = headers.get("x-compute-tokens", "")
    return int(told) or None if told.isascii() and told.isdigit() and len(told) < 16 else None


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Return `Retry-After` in seconds; None if it is absent or a date."""
    told = headers.get("retry-after")
    try:
        after = float(told) if told is not None else None
    except ValueError:
        return None
    return after if after is not None and 0 <= after < 3600 else None
