"""Messages between the service and its scorer process: length-prefixed msgpack over pipes. Knows no model."""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from sidecar.core.candidates import Score
from sidecar.core.model_spec import ModelSpec
from sidecar.scoring.score_mapping import Mapping

_LENGTH = struct.Struct(">I")


class Load(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The first frame to the scorer: the model that each name stands for."""

    models: dict[str, ModelSpec]
    slice_seconds: float
    merged_adapters: int = 2


class ScoreJob(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Passages, as (title, text), to score against a query; `seconds` is how long the answer is of any use.

    Callers share the device; who `caller` is, nobody needs to know, so it is no credential but what stands for one.
    """

    number: int
    model: str
    query: str
    passages: list[tuple[str, str]]
    seconds: float
    caller: str = ""


class Drop(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Nobody waits for this job any more."""

    number: int


class Ping(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A sign of life is wanted; it goes the way of a job, and comes back between two batches."""


class Reload(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A model's files are to be read anew; the answer is `Reloaded` or `Failed` of this number."""

    number: int
    model: str


class ModelsLoaded(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The first frame from the scorer: it can score.

    `mappings` make scores between 0 and 1 of the models' raw ones. `identities` tell checkpoints of one name apart.
    `max_lengths` are the tokens of a pair that each model reads.
    """

    mappings: dict[str, Mapping]
    identities: dict[str, str]
    max_lengths: dict[str, int] = {}


class Reloaded(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A model was read anew, and what is asked from now on it scores; mapping and identity as in `Loaded`."""

    number: int
    model: str
    mapping: Mapping
    identity: str


class Slice(msgspec.Struct, array_like=True, frozen=True):
    """Scores of `len(scores)` passages of a job, from position `start` on."""

    number: int
    start: int
    scores: list[Score]


class BatchReport(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """One call to the device: `tokens` of one model in `seconds`, while `queued` tokens wait."""

    model: str
    tokens: int
    seconds: float
    queued: int
    slices: list[Slice]


class Failed(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The job can't be scored, or the model can't be read anew; number 0 says that the scorer itself can't start."""

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
    """A frame as it goes through the pipe."""
    body = _encoder.encode(frame)
    return _LENGTH.pack(len(body)) + body


def to_scorer(body: bytes) -> ToScorer:
    """Read a frame's body on the scorer's side."""
    return _to_scorer.decode(body)


def from_scorer(body: bytes) -> FromScorer:
    """Read a frame's body on the service's side."""
    return _from_scorer.decode(body)


def length_of(header: bytes) -> int:
    """The number of bytes that follow the four of a header."""
    (length,) = _LENGTH.unpack(header)
    return int(length)


def read_body(stream: BinaryIO) -> bytes | None:
    """Read one frame's body from a blocking stream; None at its end."""
    header = stream.read(_LENGTH.size)
    return stream.read(length_of(header)) if len(header) == _LENGTH.size else None


HEADER_SIZE = _LENGTH.size
