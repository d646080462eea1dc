"""A generator behind an OpenAI-compatible API: vLLM, SGLang, llama.cpp's server, a vendor. Loads no torch.

The requests go through the transport of the remote scorers: it keeps to the deadline, retries with `Retry-After`, has a
circuit breaker for each replica, and sends a key to no other host. The package openai has none of these but retries.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.errors import ModelError, ScorerUnavailable, ScoringError, SidecarError
from sidecar.core.listing import some_of
from sidecar.core.listwise_spec import MOST_FIRST_TOKENS, ListwisePrompt, ListwiseSpec
from sidecar.listwise.first_token import TokenChoices
from sidecar.listwise.prompt import Chat
from sidecar.listwise.windows import Answer
from sidecar.scoring.remote.loop_thread import LoopThread
from sidecar.scoring.remote.replicas import Replicas
from sidecar.scoring.remote.server_info import check_addresses
from sidecar.scoring.remote.transport import Server, session_for
from sidecar.scoring.remote.turns import InOrder, Request, Turns

KEY_VARIABLE = "SIDECAR_LISTWISE_API_KEY"
_PATH = "/chat/completions"
_HINT = "Give the base URL of an OpenAI-compatible API, such as http://HOST:8000/v1."


class RemoteGenerator:
    """The replicas of a generator. Use it within one event loop; `open` comes first, `close` last.

    `identity` tells the model from others, as far as the servers do: by its name and their addresses. `failures` in a
    row leave a server alone for `pause` seconds. `turns` makes what decides which chat a server gets next, from the
    number of chats at once. Raises ConfigurationError for a URL that can't be one.
    """

    def __init__(
        self,
        spec: ListwiseSpec,
        *,
        failures: int = 3,
        pause: float = 5.0,
        turns: Callable[[int], Turns] = InOrder,
    ) -> None:
        self.spec = spec
        self.prompt: ListwisePrompt = spec.prompt or "rankgpt"
        self.identity = ""
        urls = base_urls(spec.model)
        self._servers = [
            Server(url, spec.remote, CircuitBreaker(failures, pause), key_variable=KEY_VARIABLE, hint=_HINT)
            for url in urls
        ]
        self._turns = {server.url: turns(spec.remote.concurrency) for server in self._servers}
        self._replicas = Replicas(self._servers)
        self._model = spec.remote.model

    async def open(self) -> None:
        """Connect, and find out the model. Raises ScorerUnavailable if no server answers, ModelError for no such model.

        A server without a list of its models has to be told the name of one.
        """
        if not hasattr(self._servers[0], "session"):
            session = session_for(self.spec.remote)
            for server in self._servers:
                server.session = session
        found = await asyncio.gather(*(server.get("/models") for server in self._servers), return_exceptions=True)
        for result in found:
            if isinstance(result, BaseException) and not isinstance(result, ScorerUnavailable):
                raise result
        listings = [_names(one) for one in found if not isinstance(one, BaseException)]
        if not listings:
            raise next(one for one in found if isinstance(one, ScorerUnavailable))
        self._model = _chosen(self._model, listings[0], self._servers[0].url)
        for server, listing in zip(self._servers, found, strict=True):
            if not isinstance(listing, BaseException):
                _chosen(self._model, _names(listing), server.url)
        self.identity = f"openai {self._model} at {','.join(sorted(server.url for server in self._servers))}"

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers[:1]:
            if hasattr(server, "session"):
                await server.session.close()

    async def answer(self, chat: Chat, *, seconds: float, caller: str = "", priority: int = 0) -> Answer:
        """Return the answer to a chat within `seconds`, waiting and retries included.

        Raises ScorerUnavailable if no server answers in time, ScorerBusy if they are busy, ScoringError if one refuses
        the request or its answer is no chat completion.
        """
        body, failures = self._request(chat), list[SidecarError]()
        deadline = asyncio.get_running_loop().time() + seconds
        request = Request(caller, chat.guessed_tokens, 0, deadline, priority)

        async def ask(server: Server, left: float) -> Answer:
            async with self._turns[server.url].turn(request):
                reply = await server.post_within(left, _PATH, body, 1)
                return read_completion(reply.content, server.url, self.spec)

        try:
            async with asyncio.timeout_at(deadline):
                return await self._replicas.ask(deadline, ask, failures.append)
        except TimeoutError:
            late = ScorerUnavailable(f"{self._servers[0].url} did not answer within {seconds:.3g} s")
            raise (failures[-1] if failures else late) from None

    def _request(self, chat: Chat) -> dict[str, Any]:
        """Write a request: greedy, unless the settings' own members say otherwise; None takes a member out."""
        body: dict[str, Any] = {"model": self._model, "messages": chat.messages, "temperature": 0}
        body["max_tokens"] = self.spec.tokens
        if self.spec.mode == "first-token":
            body |= {"logprobs": True, "top_logprobs": MOST_FIRST_TOKENS}
        return {name: value for name, value in (body | self.spec.request).items() if value is not None}


class GeneratorThread:
    """A remote generator for callers that are not asynchronous, from any thread. Raises what `open` raises."""

    def __init__(self, spec: ListwiseSpec) -> None:
        self._generator = RemoteGenerator(spec)
        self._loop = LoopThread("generator")
        self._asked = set[Future[Answer]]()
        self.close = weakref.finalize(self, _close, self._loop, self._generator)
        try:
            self._loop.call(self._generator.open()).result()
        except BaseException:
            self.close()
            raise
        self.prompt, self.identity = self._generator.prompt, self._generator.identity

    def answer(self, chat: Chat, *, seconds: float) -> Answer:
        """Return the answer to a chat. Raises what `RemoteGenerator.answer` raises."""
        coming = self._loop.call(self._generator.answer(chat, seconds=seconds))
        self._asked.add(coming)
        try:
            return coming.result()
        finally:
            self._asked.discard(coming)

    def cancel(self) -> None:
        """Give up the answers that are waited for: whoever waits gets a CancelledError."""
        for coming in list(self._asked):
            coming.cancel()


def _close(loop: LoopThread, generator: RemoteGenerator) -> None:
    loop.close(generator.close())


def base_urls(model: str) -> list[str]:
    """Return the base URLs of the replicas: `/v1` where there is no path. Raises ConfigurationError."""
    found = [
        url.removesuffix(_PATH).rstrip("/")
        for url in check_addresses(model, kind="generator", key_variable=KEY_VARIABLE)
    ]
    return [url if urlsplit(url).path else f"{url}/v1" for url in found]


def read_completion(answer: object, url: str, spec: ListwiseSpec) -> Answer:
    """Read a chat completion. Raises ScoringError for anything else."""
    choice = _member(answer, "choices", url)
    if not isinstance(choice, list) or not choice:
        raise _no_completion(url)
    content = _member(_member(choice[0], "message", url), "content", url, optional=True)
    text = content if isinstance(content, str) else ""
    cut = choice[0].get("finish_reason") == "length"
    if spec.mode != "first-token":
        return Answer(text, cut)
    return Answer(text, tokens=_tokens(choice[0].get("logprobs"), url))


def _tokens(logprobs: object, url: str) -> Sequence[TokenChoices]:
    listed = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(listed, list):
        raise ScoringError(f"{url} tells no log probabilities.", remedy="Choose the mode direct.")
    return [TokenChoices(_token(one, url)[0], [_token(top, url) for top in _tops(one)]) for one in listed]


def _tops(position: Any) -> list[Any]:
    found = position.get("top_logprobs") if isinstance(position, dict) else None
    return found if isinstance(found, list) else []


def _token(entry: Any, url: str) -> tuple[str, float]:
    token, logarithm = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
    if not isinstance(token, str) or isinstance(logarithm, bool) or not isinstance(logarithm, int | float):
        raise ScoringError(f"{url} tells log probabilities that can't be read.", remedy="Choose the mode direct.")
    return token, float(logarithm)


def _member(value: Any, name: str, url: str, *, optional: bool = False) -> Any:
    if isinstance(value, dict) and (optional or name in value):
        return value.get(name)
    raise _no_completion(url)


def _no_completion(url: str) -> ScoringError:
    return ScoringError(f"{url} answers with no chat completion.", remedy=_HINT)


def _names(listing: object) -> list[str]:
    found = listing.get("data") if isinstance(listing, dict) else None
    entries = found if isinstance(found, list) else []
    return [one["id"] for one in entries if isinstance(one, dict) and isinstance(one.get("id"), str)]


def _chosen(model: str | None, names: Sequence[str], url: str) -> str:
    """Return the model's name at a server. Raises ModelError if the server has none such, or several and none is named.

    A server that lists none is believed.
    """
    if model is None:
        if len(names) == 1:
            return names[0]
        has = f"has several models: {some_of(names, 20)}" if names else "does not list its models"
        raise ModelError(f"{url} {has}.", remedy="Set SIDECAR_LISTWISE_NAME to the name of one.")
    if names and model not in names:
        raise ModelError(f"{url} has no model {model!r}.", remedy=f"It has {some_of(names, 20)}.")
    return model
