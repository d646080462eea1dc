"""Faults of a request to the rerank API, before a dialect gives them their status and shape. No I/O."""

from __future__ import annotations

from enum import Enum, auto

from sidecar.core.errors import RateLimited


class Fault(Enum):
    """A kind of fault; each dialect has a status for it."""

    NOT_JSON = auto()
    INVALID = auto()
    EMPTY = auto()
    TOO_LARGE = auto()
    BODY_TOO_LARGE = auto()
    BODY_TOO_SLOW = auto()
    NO_KEY = auto()
    WRONG_HOST = auto()
    NOT_FOUND = auto()
    WRONG_METHOD = auto()
    UNKNOWN_MODEL = auto()
    BUSY = auto()
    RATE_LIMITED = auto()
    UNAVAILABLE = auto()
    TOO_LATE = auto()
    FAILED = auto()


class Problem(Exception):
    """A request that gets an error: `message` is for the caller, `param` names the faulty part of the body.

    If it is an error of the moment, another attempt makes sense after `retry_after` seconds.
    """

    def __init__(self, fault: Fault, message: str, *, param: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.param = param
        self.retry_after = retry_after


def over_the_rate(error: RateLimited) -> Problem:
    """Return a refusal by a rate limit as a problem; what a minute never allows is too large."""
    if error.retry_after is None:
        return Problem(Fault.TOO_LARGE, error.message)
    return Problem(Fault.RATE_LIMITED, error.message, retry_after=error.retry_after)
