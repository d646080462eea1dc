"""How one request wants its texts read, beside what the model's manifest says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options that change what a model reads, and so its scores; None for what stays as the manifest says.

    Of a document only the first `document_tokens` tokens are read, title and text together. `instruction` takes the
    place of the manifest's.
    """

    document_tokens: int | None = None
    instruction: str | None = None

    def of(self, model: str) -> str:
        """Return a model's identity for stored scores, another one for each way of reading."""
        if self == AS_USUAL:
            return model
        return f"{model}\0{self.document_tokens}\0{self.instruction}"


AS_USUAL = ReadOptions()
