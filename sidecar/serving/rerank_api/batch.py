"""Several requests of the shared shape in one: each is answered on its own, all before one deadline.

The list is ours: the vendors' batch APIs take files, and answer hours later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sidecar.core.errors import RateLimited
from sidecar.serving.http import request_body
from sidecar.serving.http.off_loop import off_loop
from sidecar.serving.rerank_api.engine import RequestContext
from sidecar.serving.rerank_api.handler import RETRIED, ReadRequest, RequestHandler, present
from sidecar.serving.rerank_api.json_body import parsed, written
from sidecar.serving.rerank_api.neutral import NEUTRAL, RERANK_V1, Neutral
from sidecar.serving.rerank_api.problem import Fault, Problem, over_the_rate
from sidecar.serving.rerank_api.schema import reference_to
from sidecar.serving.scorer.rate_limits import Unit

_KEY = "requests"
_EXAMPLE = {_KEY: [RERANK_V1.example, {"query": "what do dogs do", "documents": ["Dogs bark."]}]}
_REQUESTS = {"type": "array", "minItems": 1, "items": reference_to(Neutral)}
_SCHEMA = {
    "type": "object",
    "required": [_KEY],
    "properties": {_KEY: _REQUESTS},
    "additionalProperties": False,
}
DESCRIPTION = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA, "example": _EXAMPLE}}}
}
Read = ReadRequest[Neutral] | Problem


class BatchHandler:
    """Answers batches; a batch runs as one request of `handler`, whose limits hold for all its requests together."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._engine = handler.engine

    async def __call__(self, request: Request, identity: str, caller: str) -> Response:
        """Answer one batch, with a status for each of its requests, in their order."""

        async def answered(whole: bytes) -> Response:
            context = self._engine.context(identity, caller)
            records = self._records(await off_loop(len(whole), parsed, whole))
            reads = [await self._read(record, len(whole) // len(records)) for record in records]
            questions = [one.question for one in reads if not isinstance(one, Problem)]
            self._engine.check_characters(questions, _KEY)
            responses = await request_body.unless_left(request.receive, self._answers(reads, context))
            head = b'{"id":%b,"responses":[' % written(identity)
            return Response(head + b",".join(responses) + b"]}", media_type="application/json")

        return await self._handler.respond(request, NEUTRAL, answered)

    def _records(self, body: Mapping[str, Any]) -> Sequence[Any]:
        """Return the requests of a batch. Raises `Problem` if they are none, or too many together."""
        records, limits = body.get(_KEY), self._engine.limits
        if others := present(body).keys() - {_KEY}:
            words = f"{min(others)[:80]}: a batch holds {_KEY} alone; each of them has its own keys"
            raise Problem(Fault.INVALID, words, param=min(others))
        if not isinstance(records, list):
            raise Problem(Fault.INVALID, f"{_KEY}: a list of requests is required", param=_KEY)
        if not records:
            raise Problem(Fault.EMPTY, f"{_KEY} must not be empty", param=_KEY)
        if len(records) > limits.batch:
            raise Problem(Fault.TOO_LARGE, f"{len(records)} {_KEY} where {limits.batch} are allowed", param=_KEY)
        lists = [one.get("documents") for one in records if isinstance(one, dict)]
        documents = sum(len(one) for one in lists if isinstance(one, list))
        if documents > limits.documents:
            words = f"{documents} documents in all {_KEY} where {limits.documents} are allowed"
            raise Problem(Fault.TOO_LARGE, words, param=_KEY)
        return records

    async def _read(self, record: Any, size: int) -> Read:
        """Read one request; a problem is its answer."""
        if not isinstance(record, dict):
            return Problem(Fault.INVALID, "a request is an object")
        try:
            return await self._handler.read(RERANK_V1, present(record), size)
        except Problem as problem:
            return problem

    async def _answers(self, reads: Sequence[Read], batch: RequestContext) -> list[bytes]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer(number, one, batch)) for number, one in enumerate(reads)]
        return [task.result() for task in tasks]

    async def _answer(self, number: int, read: Read, batch: RequestContext) -> bytes:
        """Answer one request: its place in the batch, its status and body, and when another attempt makes sense."""
        try:
            if isinstance(read, Problem):
                return _refusal(number, read)
            if number:  # the batch itself was counted as its first request
                self._engine.service.rates.take(Unit.REQUESTS, batch.caller)
            answer = await self._engine.answer(read.question, replace(batch, identity=f"{batch.identity}-{number}"))
            return written({"index": number, "status": 200, "body": RERANK_V1.write(read.body, answer)})
        except RateLimited as error:
            return _refusal(number, over_the_rate(error))
        except Problem as problem:
            return _refusal(number, problem)


def _refusal(number: int, problem: Problem) -> bytes:
    status = NEUTRAL.status(problem.fault)
    again = {"retry_after": problem.retry_after} if status in RETRIED else {}
    return written({"index": number, "status": status, **again, "body": NEUTRAL.tell(status, problem)})
