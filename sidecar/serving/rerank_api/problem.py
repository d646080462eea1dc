"""Faults of a request to the rerank API, before a dialect gives them their status and shape. No I/O."""

from __future__ import annotations

from enum import Enum, auto


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
    UNAVAILABLE = auto()
    TOO_LATE = auto()
    FAILED = auto()


class Problem(Exception):
    """A request that gets an error: `message` is for the caller, `param` names the faulty part of the body."""

    def __init__(self, fault: Fault, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.param = param
