"""Every error a caller can see, as one tree. Each has a message and, in `remedy`, what to do about it.

SidecarError
├── ConfigurationError            a setting or flag is unknown, out of range or contradicts another
│   └── FusionError               a combination of scores that has no sound definition
├── InputError                    a file, a line of it, a query or a document is malformed
├── ModelError                    a checkpoint can't be used
│   ├── ModelNotFound             neither a preset, nor a directory, nor a hub name that can be loaded
│   ├── GatedModel                the licence was not accepted, or there is no token
│   ├── AdapterMismatch           the adapter belongs to another base model
│   └── ChecksumMismatch          a weight file is not the expected one
├── ScoringError                  the model ran and its output can't be used
│   └── NonFiniteScore            NaN or infinity, which is never a rank
├── TrainingError                 training can't continue: the loss is not finite, or memory ran out
├── ScorerUnavailable             no scorer can answer: it is starting, hangs, has ended, or is overloaded
│   ├── ScorerBusy                its queue is full; it accepts requests again soon
│   │   └── RateLimited           the caller has used up the requests or tokens of this minute
│   └── ScorerEnded               the process that was scoring ended; others go on
└── EngineError                   the first stage can't answer
    ├── IndexNotFound             no index there
    ├── JavaError                 no suitable Java, or the JVM did not start
    ├── EngineUnreachable         no connection, or none in time
    └── EngineRejected            the engine answered with an error of its own (status and body are kept)
"""

from __future__ import annotations


class SidecarError(Exception):
    """Root of the tree: `str(error)` is the message with its remedy."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class ConfigurationError(SidecarError):
    """A setting or flag is unknown, out of range or contradicts another."""


class FusionError(ConfigurationError):
    """A combination of scores that has no sound definition."""


class InputError(SidecarError):
    """A file, a line of it, a query or a document is malformed."""


class ModelError(SidecarError):
    """A checkpoint can't be used."""


class ModelNotFound(ModelError):
    """Neither a preset, nor a directory, nor a hub name that can be loaded."""


class GatedModel(ModelError):
    """The licence of a gated model was not accepted, or there is no token."""


class AdapterMismatch(ModelError):
    """The adapter belongs to another base model."""


class ChecksumMismatch(ModelError):
    """A weight file is not the expected one."""


class ScoringError(SidecarError):
    """The model ran and its output can't be used."""


class NonFiniteScore(ScoringError):
    """NaN, or a number beyond single precision, which is never a rank."""


class TrainingError(SidecarError):
    """Training can't continue: the loss is not finite, or memory ran out."""


class ScorerUnavailable(SidecarError):
    """No scorer can answer: it is starting, hangs, has ended, or is overloaded."""


class ScorerBusy(ScorerUnavailable):
    """The scorer's queue is full; it accepts requests again soon."""


class RateLimited(ScorerBusy):
    """The caller has used up the requests or tokens of this minute; `retry_after` in seconds, None: never enough."""

    def __init__(self, message: str, *, retry_after: int | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ScorerEnded(ScorerUnavailable):
    """The process that was scoring ended; others go on."""


class EngineError(SidecarError):
    """The first stage can't answer."""


class IndexNotFound(EngineError):
    """The index does not exist."""


class JavaError(EngineError):
    """There is no suitable Java, or the JVM did not start."""


class EngineUnreachable(EngineError):
    """No connection to the engine, or none in time."""


class EngineRejected(EngineError):
    """The engine answered with an error of its own: `status` is HTTP's, `body` its answer."""

    def __init__(self, message: str, *, status: int, body: bytes = b"", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.body = body
