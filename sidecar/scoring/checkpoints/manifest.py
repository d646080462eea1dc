"""Everything besides the weights that a checkpoint needs: templates, truncation, pooling, score mapping.

It is stored as `sidecar.json` in the checkpoint's directory. Knows neither torch nor where weights come from.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.candidates import Passage
from sidecar.core.errors import FusionError, ModelError
from sidecar.core.fusion import Fusion, Method, Normalization
from sidecar.core.model_spec import is_remote
from sidecar.scoring.score_mapping import Mapping, sigmoid

FILE_NAME = "sidecar.json"
# The poolings that go with a prompt. `model` is a decoder's whose architecture pools all tokens.
_POOLINGS = {"body": ("last_token", "model"), "sides": ("last_token",)}
PLACEHOLDER = re.compile(r"\{(\w+)\}")


class ScoreMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Platt's calibration: `sigmoid(a * score + b)` is a probability of relevance."""

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (0 < self.a < math.inf and math.isfinite(self.b)):
            raise ValueError("score_mapping must rise: a > 0, and both finite")

    def __call__(self, score: float) -> float:
        """Map one raw score into (0, 1); it never overflows."""
        return sigmoid(self.a * score + self.b)


class Beside(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bi-encoder, by preset, directory or hub name, whose cosine times `weight` is added to the logit."""

    model: str
    weight: float

    def __post_init__(self) -> None:
        if not (self.model and 0 < self.weight < math.inf):
            raise ValueError("beside needs a model, and a weight above 0")
        if is_remote(self.model):
            raise ValueError("beside names a model of this machine or the hub; a server would get every text")


class PreferredFusion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fusion with the first stage that a checkpoint prefers; `weight` is the model's share, as in a `Fusion`.

    Reciprocal ranks are left out: they would count the order of lists that come in none.
    """

    method: Method = Method.LINEAR
    normalization: Normalization = Normalization.MIN_MAX
    weight: float | None = None

    def __post_init__(self) -> None:
        if self.method is Method.RRF:
            raise ValueError("fusion must be rerank or a mean of scores, not rrf")
        try:
            self.as_fusion()
        except FusionError as error:
            raise ValueError(error.message) from None

    def as_fusion(self) -> Fusion:
        """Return the fusion itself."""
        return Fusion(self.method, self.normalization, self.weight)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How pairs are written, cut and pooled. The defaults are the DeAR model card's.

    - `kind`: a `cross-encoder` reads query and passage together, a `bi-encoder` separately.
    - `query_template`, `document_template`: `{query}`, `{instruction}`, `{title}`, `{passage}` are filled in, other
      braces in a text stay as they are. An empty title leaves two spaces, as in the card's helper; with `strip`, white
      space around the filled templates is removed. `{document}` is title and passage with a space between,
      or the one that is not empty.
    - `truncation`: `joint` cuts the longer side first until the pair has `max_length` tokens (the card). `separate`
      cuts as the authors' training and TREC scripts do: the query's text at `query_max_length` tokens, the document's
      at `document_max_length` - 3 (they keep 3 back), each with its own bos in front. `body` is for models that answer
      a chat: both templates make one text, cut at its end so that `prefix` and `suffix` always fit around it.
      `sides` tokenises query and document apart and joins their ids as prefix, query, `between`, document, suffix; the
      query has at most three quarters of the room, the document the rest.
    - `prefix`, `between`, `suffix`: the texts around a `body`, or around both `sides`. Only here the names of control
      tokens become control tokens.
    - `instruction`: the task, for templates with `{instruction}`.
    - `pooling`: `last_token` is the last real token. `last_slot` is position `max_length - 1`, where padding to
      `max_length` puts an eos that sees the real tokens: the authors' scripts pool it, with the model's pad id
      unset or 0. `mean` (of all tokens) and `first_token` are for bi-encoders; `model` leaves pooling to the
      architecture (BERT and its family).
    - `yes_token`, `no_token`: a causal model's two answers; its score is logit(yes) - logit(no), whose sigmoid is the
      probability of "yes" among the two. Without `no_token` the score is logit(yes). Without both the model has its own
      score head.
    - `beside`: a bi-encoder that is combined with a cross-encoder.
    - `fusion`: how its scores are combined with the first stage's unless another fusion is requested; None for the
      model alone.
    - `score_mapping`: None if the scores are not calibrated.
    - `note`: a note for the user, such as "unverified".
    """

    kind: Literal["cross-encoder", "bi-encoder"] = "cross-encoder"
    query_template: str = "query: {query}"
    document_template: str = "document: {title} {passage}"
    instruction: str = ""
    prefix: str = ""
    between: str = ""
    suffix: str = ""
    strip: bool = False
    truncation: Literal["joint", "separate", "body", "sides"] = "joint"
    max_length: int = 228
    query_max_length: int = 32
    document_max_length: int = 196
    pooling: Literal["last_token", "last_slot", "mean", "first_token", "model"] = "last_token"
    yes_token: str | None = None
    no_token: str | None = None
    beside: Beside | None = None
    fusion: PreferredFusion | None = None
    score_mapping: ScoreMapping | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.max_length < 8 or self.query_max_length < 1 or self.document_max_length < 4:
            raise ValueError("max_length must be >= 8, query_max_length >= 1 and document_max_length >= 4")
        if (self.kind == "bi-encoder") != (self.pooling in ("mean", "first_token")):
            raise ValueError(f"pooling {self.pooling!r} does not go with kind {self.kind!r}")
        if self.beside is not None and self.kind != "cross-encoder":
            raise ValueError("beside is for cross-encoders")
        if self.truncation == "separate" and self.pooling not in ("last_token", "last_slot"):
            raise ValueError("separate truncation is for decoders, with pooling last_token or last_slot")
        if self.truncation == "separate" and self.query_max_length + self.document_max_length - 1 > self.max_length:
            raise ValueError("max_length must fit both sides: query_max_length + document_max_length - 1 tokens")
        self._check_body()
        _check_template("query_template", self.query_template, {"query", "instruction"}, needed={"query"})
        allowed = {"title", "passage", "document"}
        _check_template("document_template", self.document_template, allowed, needed={"passage", "document"})
        if ("{instruction}" in self.query_template) != bool(self.instruction):
            raise ValueError("instruction and {instruction} in query_template need each other")

    def _check_body(self) -> None:
        if self.truncation in ("body", "sides"):
            known = _POOLINGS[self.truncation]
            if self.strip or self.pooling not in known:
                raise ValueError(
                    f"truncation {self.truncation} is for decoders, with pooling {' or '.join(known)}, without strip"
                )
        elif self.prefix or self.suffix:
            raise ValueError("prefix and suffix need truncation body or sides")
        if self.between and self.truncation != "sides":
            raise ValueError("between needs truncation sides")
        if self.no_token is not None and self.yes_token in (None, self.no_token):
            raise ValueError("no_token needs a yes_token that differs from it")
        if self.yes_token is not None and self.pooling != "last_token":
            raise ValueError("yes_token is for causal models, with pooling last_token")

    @property
    def preferred_fusion(self) -> Fusion:
        """The fusion to use where nobody asks for another: the model alone unless the checkpoint says otherwise."""
        return Fusion() if self.fusion is None else self.fusion.as_fusion()

    @property
    def mapping(self) -> Mapping:
        """Return the mapping from a raw score to one between 0 and 1: calibrated if there is a `score_mapping`."""
        if self.score_mapping is not None:
            return Mapping(self.score_mapping.a, self.score_mapping.b, calibrated=True)
        return Mapping(cosine=self.kind == "bi-encoder")

    def write_query(self, query: str) -> str:
        """Fill the query template."""
        return self._fill(self.query_template, {"query": query, "instruction": self.instruction})

    def write_document(self, passage: Passage) -> str:
        """Fill the document template."""
        document = " ".join(part for part in (passage.title, passage.text) if part)
        values = {"title": passage.title, "passage": passage.text, "document": document}
        return self._fill(self.document_template, values)

    def _fill(self, template: str, values: dict[str, str]) -> str:
        # One pass over the template alone: braces inside a text are never taken for a placeholder.
        text = PLACEHOLDER.sub(lambda match: values[match[1]], template)
        return text.strip() if self.strip else text


def read_manifest(directory: Path) -> Manifest | None:
    """Read `sidecar.json` of a checkpoint; None if there is none. Raises ModelError if it is malformed."""
    path = directory / FILE_NAME
    if not path.is_file():
        return None
    remedy = f"Correct {path}, or remove it to use the defaults of the architecture."
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}.", remedy=remedy) from error
    if isinstance(fields, dict):
        _check_keys(path, fields, remedy)
    try:
        return msgspec.convert(fields, Manifest)
    except (msgspec.ValidationError, ValueError) as error:
        raise ModelError(f"{path}: {error}.{_choices(str(error))}", remedy=remedy) from error


def write_manifest(manifest: Manifest, directory: Path) -> Path:
    """Write `sidecar.json` beside a checkpoint, completely or not at all; returns its path. Raises InputError."""
    path = directory / FILE_NAME
    with atomic_write(path) as file:
        file.write(as_json(manifest))
    return path


def as_json(manifest: Manifest, *, leave_out: Sequence[str] = ()) -> str:
    """Return the text of a `sidecar.json` with every field except those of `leave_out`."""
    fields = {name: value for name, value in msgspec.to_builtins(manifest).items() if name not in leave_out}
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def _check_keys(path: Path, fields: dict[str, Any], remedy: str) -> None:
    known = [field.name for field in msgspec.structs.fields(Manifest)]
    for key in fields:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0)[0]
            raise ModelError(f"{path}: {key!r} is not a key of a manifest; the nearest is {near!r}.", remedy=remedy)


def _choices(message: str) -> str:
    """Return a sentence with the values of the field that msgspec complains of; empty if it is not one of a few."""
    field = re.search(r"^Invalid enum value .* `\$\.(\w+)`$", message)
    return f" One of {', '.join(get_args(get_type_hints(Manifest)[field[1]]))}." if field else ""


def _check_template(name: str, template: str, allowed: set[str], *, needed: set[str]) -> None:
    found = set(PLACEHOLDER.findall(template))
    if not needed & found or found - allowed:
        wanted = " or ".join(f"{{{field}}}" for field in sorted(needed))
        raise ValueError(f"{name} {template!r} must hold {wanted} and nothing but {sorted(allowed)} in braces")
