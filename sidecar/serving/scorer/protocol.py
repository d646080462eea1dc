"""Messages between the service and its scorer process: length-prefixed msgpack over pipes. Knows no model."""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from sidecar.core.candidates import Score
from sidecar.core.fusion import Fusion
from sidecar.core.model_spec import ModelSpec
from sidecar.core.read_options import AS_USUAL, ReadOptions
from sidecar.scoring.score_mapping import Mapping

# The token limit to report for a model until it is loaded, and for one that does not tell its own.
USUAL_LENGTH = 512
_LENGTH = struct.Struct(">I")


class Load(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The first frame to the scorer: the specification of each model, by name."""

    models: dict[str, ModelSpec]
    slice_seconds: float
    merged_adapters: int = 2


class ScoreJob(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Passages, as (title, text), to score against a query; after `seconds` the scores are no longer useful.

    Callers share the device. `caller` is an opaque key, never a credential. Jobs of a lower `priority` number go first.
    """

    number: int
    model: str
    query: str
    passages: list[tuple[str, str]]
    seconds: float
    caller: str = ""
    priority: int = 0
    how: ReadOptions = AS_USUAL


class Drop(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The job is no longer needed."""

    number: int


class Ping(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A request for a sign of life; it takes the same way as a job, and is answered between two batches."""


class Reload(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A request to read a model's files again; the answer is `Reloaded` or `Failed` with this number."""

    number: int
    model: str


class LoadedModel(msgspec.Struct, array_like=True, frozen=True):
    """A model that can score, as the service knows it.

    `identity` distinguishes checkpoints of the same name. `mapping` maps its raw scores to 0 to 1, `fusion` is the
    fusion that it prefers, and `max_length` the tokens of a pair that it reads. It reads with a request's own
    instruction if it `takes_instruction`, and cuts documents by tokens if it `cuts_documents`.
    """

    identity: str
    mapping: Mapping
    fusion: Fusion
    max_length: int
    takes_instruction: bool = False
    cuts_documents: bool = False


class ModelsLoaded(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The first frame from the scorer: it can score with these models, by name."""

    models: dict[str, LoadedModel]


class Reloaded(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A model was reloaded, and scores all later requests."""

    number: int
    name: str
    model: LoadedModel


class Slice(msgspec.Struct, array_like=True, frozen=True):
    """Scores of `len(scores)` passages of a job, from position `start` on.

    `tokenised` is how long before the batch began the tokenising of the job so far began and ended, in seconds.
    """

    number: int
    start: int
    scores: list[Score]
    tokenised: tuple[float, float] | None = None


class BatchReport(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """One call to the device: `tokens` of one model in `seconds`, while `queued` tokens wait."""

    model: str
    tokens: int
    seconds: float
    queued: int
    slices: list[Slice]


class Failed(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The job can't be scored, or the model can't be reloaded; number 0 means that the scorer can't start."""

    number: int
    kind: str
    message: str
    remedy: str


ToScorer = Load | ScoreJob | Drop | Ping | Reload
FromScorer = ModelsLoaded | BatchReport | Failed | Ping | Reloaded

_encoder = msgspec.msgpack.Encoder()
_to_scorer: msgspec.msgpack.Decoder[ToScorer] = msgspec.msgpack.Decoder(ToScorer)
_from_scorer: msgspec.msgpack.Decoder[FromScorer] = msgspec.msgpack.Decoder(FromScorer)


def packed(frame: ToScorer | FromScorer) -> bytes:
    """Return a frame as bytes for the pipe."""
    body = _encoder.encode(frame)
    return _LENGTH.pack(len(body)) + body


def to_scorer(body: bytes) -> ToScorer:
    """Read a frame's body on the scorer's side."""
    return _to_scorer.decode(body)


def from_scorer(body: bytes) -> FromScorer:
    """Read a frame's body on the service's side."""
    return _from_scorer.decode(body)


def length_of(header: bytes) -> int:
    """Return the number of bytes that follow a header of four bytes."""
    (length,) = _LENGTH.unpack(header)
    return int(length)


def read_body(stream: BinaryIO) -> bytes | None:
    """Read one frame's body from a blocking stream; None at its end."""
    header = stream.read(_LENGTH.size)
    return stream.read(length_of(header)) if len(header) == _LENGTH.size else None


HEADER_SIZE = _LENGTH.size
