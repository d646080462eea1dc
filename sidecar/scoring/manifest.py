"""What makes a checkpoint that checkpoint, beside its weights: templates, truncation, pooling, score mapping.

It travels as `sidecar.json` in the checkpoint's directory and knows neither torch nor where weights come from.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from sidecar.candidates import Passage
from sidecar.errors import ModelError

FILE_NAME = "sidecar.json"
PLACEHOLDER = re.compile(r"\{(\w+)\}")


class ScoreMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Platt's calibration: `sigmoid(a * score + b)` reads as a probability of relevance."""

    a: float
    b: float

    def __call__(self, score: float) -> float:
        """Map one raw score into (0, 1); it never overflows."""
        x = self.a * score + self.b
        return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How pairs are written, cut and pooled. The defaults are the DeAR model card's.

    - `kind`: a `cross-encoder` reads query and passage together, a `bi-encoder` apart.
    - `query_template`, `document_template`: `{query}`, `{title}`, `{passage}` are filled in, other braces in a text
      stay as they are. An empty title leaves two spaces, as in the card's helper, unless `strip` is set: then
      white space around the filled templates goes.
    - `truncation`: `joint` cuts the longer side first until the pair has `max_length` tokens (the card). `separate`
      cuts as the authors' training and TREC scripts: the query's text at `query_max_length` tokens, the document's
      at `document_max_length` - 3 (they keep 3 back), each with its own bos in front.
    - `pooling`: `last_token` is the last real token. `last_slot` is position `max_length - 1`, where padding to
      `max_length` puts an eos that sees the real tokens: what the authors' scripts pool, with the model's pad id
      unset or 0. `mean` is a bi-encoder's; `model` leaves pooling to the architecture (BERT and its kin).
    - `score_mapping`: None where nobody calibrated the scores.
    - `note`: what a person should know, such as "unverified".
    """

    kind: Literal["cross-encoder", "bi-encoder"] = "cross-encoder"
    query_template: str = "query: {query}"
    document_template: str = "document: {title} {passage}"
    strip: bool = False
    truncation: Literal["joint", "separate"] = "joint"
    max_length: int = 228
    query_max_length: int = 32
    document_max_length: int = 196
    pooling: Literal["last_token", "last_slot", "mean", "model"] = "last_token"
    score_mapping: ScoreMapping | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.max_length < 8 or self.query_max_length < 1 or self.document_max_length < 4:
            raise ValueError("max_length must be >= 8, query_max_length >= 1 and document_max_length >= 4")
        if (self.kind == "bi-encoder") != (self.pooling == "mean"):
            raise ValueError(f"pooling {self.pooling!r} does not go with kind {self.kind!r}")
        if self.truncation == "separate" and self.pooling not in ("last_token", "last_slot"):
            raise ValueError("separate truncation is for decoders, with pooling last_token or last_slot")
        if self.truncation == "separate" and self.query_max_length + self.document_max_length - 1 > self.max_length:
            raise ValueError("max_length must hold both sides: query_max_length + document_max_length - 1 tokens")
        _check_template("query_template", self.query_template, {"query"}, needed="query")
        _check_template("document_template", self.document_template, {"title", "passage"}, needed="passage")

    def write_query(self, query: str) -> str:
        """Fill the query template."""
        return self._fill(self.query_template, {"query": query})

    def write_document(self, passage: Passage) -> str:
        """Fill the document template."""
        return self._fill(self.document_template, {"title": passage.title, "passage": passage.text})

    def _fill(self, template: str, values: dict[str, str]) -> str:
        # One pass over the template alone: braces inside a text are never read as a placeholder.
        text = PLACEHOLDER.sub(lambda match: values[match[1]], template)
        return text.strip() if self.strip else text


# Pair of plain texts, for encoders trained by sentence-transformers and the like.
PLAIN_PAIR = Manifest(
    query_template="{query}", document_template="{title} {passage}", strip=True, max_length=512, pooling="model"
)


def read_manifest(directory: Path) -> Manifest | None:
    """Read `sidecar.json` of a checkpoint; None where there is none. Raises ModelError if it is malformed."""
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
        raise ModelError(f"{path}: {error}.", remedy=remedy) from error


def write_manifest(manifest: Manifest, directory: Path) -> Path:
    """Write `sidecar.json` beside a checkpoint, every field spelt out; returns its path."""
    path = directory / FILE_NAME
    path.write_text(json.dumps(msgspec.to_builtins(manifest), indent=2) + "\n", encoding="utf-8")
    return path


def _check_keys(path: Path, fields: dict[str, Any], remedy: str) -> None:
    known = [field.name for field in msgspec.structs.fields(Manifest)]
    for key in fields:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0)[0]
            raise ModelError(f"{path}: {key!r} is not a key of a manifest; the nearest is {near!r}.", remedy=remedy)


def _check_template(name: str, template: str, allowed: set[str], *, needed: str) -> None:
    found = set(PLACEHOLDER.findall(template))
    if needed not in found or found - allowed:
        raise ValueError(f"{name} {template!r} must hold {{{needed}}} and nothing but {sorted(allowed)} in braces")
