"""Log one line of JSON for each event; never a body, and no header's value except the request's id."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.serving.http.asgi import Exchange
    from sidecar.serving.scorer.service import Outcome

_access = logging.getLogger("sidecar.access")


class JsonLines(logging.Formatter):
    """Writes a record as JSON: time (UTC), level, logger, message, and the fields of its `said`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        said = {"time": moment, "level": record.levelname.lower(), "logger": record.name}
        said |= getattr(record, "said", None) or {"message": record.getMessage()}
        if record.exc_info and record.exc_info[0]:
            said["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
        return json.dumps(said)


def write_json_lines(level: str = "INFO") -> None:
    """Send all logs to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").disabled = True


def log_access(api: str, kind: str, exchange: Exchange, outcome: Outcome | None) -> None:
    """Log an answered request: its path without the query, and its id if the caller gave one."""
    level = logging.WARNING if exchange.problem else logging.INFO
    if not _access.isEnabledFor(level):
        return
    said: dict[str, object] = {
        "api": api,
        "kind": kind,
        "method": exchange.method,
        "path": exchange.raw_path.decode("latin-1")[:500],
        "status": exchange.answered,
        "ms": round(exchange.elapsed * 1000, 1),
    }
    opaque_id = exchange.header(b"x-opaque-id") or exchange.header(b"x-request-id")
    if opaque_id:
        said["id"] = opaque_id.decode("latin-1")[:200]
    if outcome is not None:
        said |= {"rerank": outcome.status.value, "reason": outcome.reason.for_log if outcome.reason else ""}
    if exchange.problem:
        said["problem"] = exchange.problem[:300]
    _access.log(level, "", extra={"said": said})
