"""Turn a request into a response: read the body within its limits, ask the engine, write the answer or the error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from sidecar.core.documents import PassageFields
from sidecar.core.reasons import Reason, Why
from sidecar.core.trace import tell
from sidecar.serving.http import request_body
from sidecar.serving.http.callers import network_of
from sidecar.serving.http.headers import header_text
from sidecar.serving.http.held_bytes import Hold
from sidecar.serving.http.off_loop import off_loop
from sidecar.serving.rerank_api.dialect import Dialect, Operation, ParsedRequest, Question, RankedDocuments
from sidecar.serving.rerank_api.endpoints import Endpoint
from sidecar.serving.rerank_api.engine import RequestLimits, RerankEngine
from sidecar.serving.rerank_api.json_body import parsed, written
from sidecar.serving.rerank_api.problem import Fault, Problem

# Names of the parts of a `str | …` in pydantic's error locations; users do not know them.
_UNION_TAGS = frozenset({"str", "int", "bool", "dict[str,any]", "list[str]", "QueryText"})
# Statuses of errors of the moment, after which another attempt makes sense.
RETRIED = frozenset({429, 503})
Body = TypeVar("Body", bound=ParsedRequest)


@dataclass(frozen=True, slots=True)
class ReadRequest(Generic[Body]):
    """A request that was read: its body, and the question in it."""

    body: Body
    question: Question


class RequestHandler:
    """Answers the POSTs, up to a number at a time."""

    def __init__(self, engine: RerankEngine, fields: PassageFields) -> None:
        self.engine = engine
        self.fields = fields
        self.in_flight = 0

    async def __call__(self, endpoint: Endpoint, request: Request, identity: str, caller: str) -> Response:
        """Answer one request."""

        async def answered(whole: bytes) -> Response:
            context = self.engine.context(identity, caller)
            record = present(await off_loop(len(whole), parsed, whole))
            operation = endpoint.choose(record)
            try:
                found = await self.read(operation, record, len(whole))
                answer = await request_body.unless_left(request.receive, self.engine.answer(found.question, context))
                said = written(operation.write(found.body, answer))
            except Problem as problem:
                return refused(operation.dialect, problem)
            return Response(said, headers=told(found.body, answer), media_type="application/json")

        return await self.respond(request, endpoint.operation.dialect, answered)

    async def respond(
        self, request: Request, dialect: Dialect, answered: Callable[[bytes], Awaitable[Response]]
    ) -> Response:
        """Have a request answered once its body has arrived; 499 is for the metrics if the caller has left."""
        peer = network_of(request.client.host) if request.client else ""
        try:
            with self.engine.limits.held.hold(peer) as hold:
                whole = await whole_body(request, self.engine.limits, hold)
                # A request counts as running only once its body has arrived, so that slow bodies block no other
                # request.
                with self._turn():
                    return await answered(whole)
        except Problem as problem:
            return refused(dialect, problem)
        except request_body.ClientLeft:
            return Response(status_code=499)

    async def read(self, operation: Operation[Body], record: Mapping[str, Any], size: int) -> ReadRequest[Body]:
        """Read a question out of a record of about `size` bytes. Raises `Problem`."""
        check_lengths(operation.body, record, self.engine.limits.documents)
        body = await off_loop(size, validated, operation.body, record)
        question = await off_loop(size, operation.read, body, self.fields)
        return ReadRequest(body, replace(question, demands=body.demands))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        most = self.engine.limits.requests
        if self.in_flight >= most:
            raise Problem(Fault.BUSY, f"{most} requests are being answered already")
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


async def whole_body(request: Request, limits: RequestLimits, hold: Hold) -> bytes:
    """Read a request's body, decompressed. Raises `Problem` beyond a limit, and `ClientLeft`."""
    arriving = request_body.BodyLimits(limits.body, limits.body_seconds, limits.body_seconds)
    body = request_body.Body(request.receive, arriving, hold)
    try:
        why = await body.read()
        if why is None:
            encoding = request.headers.get("content-encoding", "").encode("latin-1", "replace")
            size = limits.body if encoding else 0
            return await off_loop(size, request_body.decompressed, body.prefix, encoding, limits.body)
    except request_body.BodyTooLarge:
        why = Why(Reason.BODY_TOO_LARGE, f"the body is larger than {limits.body} bytes")
    except request_body.BodyTooSlow:
        raise Problem(Fault.BODY_TOO_SLOW, "the body did not arrive in time") from None
    except request_body.BodyUnreadable as error:
        raise Problem(Fault.NOT_JSON, f"the body can't be read: {error}") from None
    raise Problem(Fault.BUSY if why.reason is Reason.OVERLOADED else Fault.BODY_TOO_LARGE, why)


def present(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without its nulls, which clients write for keys that they do not set."""
    return {key: value for key, value in record.items() if value is not None}


def told(body: ParsedRequest, answer: RankedDocuments) -> dict[str, str]:
    """Return the headers that say what a dialect has no field for: calibration, tokens, stage, how much is left out."""
    said = {"x-rerank-calibrated": str(answer.calibrated).lower()}
    # TEI's name.
    said |= {} if answer.tokens is None else {"x-compute-tokens": str(answer.tokens)}
    said |= {"x-rerank-dropped": str(answer.dropped)} if body.min_relevance else {}
    if (stage_two := answer.stage_two) is not None:
        said["x-rerank-stage"] = str(stage_two.stage)
        said |= {} if stage_two.why is None else {"x-rerank-reason": header_text(stage_two.why)}
    return said


def refused(dialect: Dialect, problem: Problem) -> Response:
    """Return a problem in a dialect."""
    tell({"rerank.reason": problem.fault.name.lower()})
    status = dialect.status(problem.fault)
    headers = {"retry-after": str(problem.retry_after)} if status in RETRIED else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(written(dialect.tell(status, problem)), status, headers, media_type="application/json")


def broken(dialect: Dialect) -> Response:
    """Return the error for a failure of the service itself."""
    return refused(dialect, Problem(Fault.FAILED, "the service failed; its log says how"))


def check_lengths(kind: type[ParsedRequest], record: Mapping[str, Any], most: int) -> None:
    """Refuse a list with more items than can be scored, before they are validated. Raises `Problem`."""
    for name in kind.names():
        found = record.get(name)
        if isinstance(found, list) and len(found) > most:
            raise Problem(Fault.TOO_LARGE, f"{len(found)} {name} where {most} are allowed", param=name)


def validated(kind: type[Body], record: Mapping[str, Any]) -> Body:
    """Validate a body. Raises `Problem` for its first invalid part."""
    try:
        return kind.model_validate(record)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
    place = _place(problems[0]["loc"])
    said = {_lowered(one["msg"]): None for one in problems if _place(one["loc"]) == place}
    raise Problem(Fault.INVALID, f"{place}: {', or '.join(said)}", param=place)


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part not in _UNION_TAGS)


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]
