"""Read a query and passages as a request wants them: documents cut by tokens, another instruction. Knows no tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sidecar.core.candidates import Passage
from sidecar.core.errors import ModelError
from sidecar.core.read_options import ReadOptions
from sidecar.scoring import Scorer
from sidecar.scoring.prompt import CHARACTERS_PER_TOKEN, Prompt


def takes_instruction(scorer: Scorer) -> bool:
    """True if the scorer's queries are written with an instruction."""
    return bool(scorer.manifest.instruction)


def read_with(scorer: Any, query: str, passages: Sequence[Passage], how: ReadOptions) -> Any:
    """Tokenise for `scorer.score_all`. Raises ModelError for an instruction that the model does not take."""
    if how.document_tokens is not None:
        passages = [cut_document(scorer.prompt, passage, how.document_tokens) for passage in passages]
    if how.instruction is None:
        return scorer.read(query, passages)
    if not takes_instruction(scorer):
        raise ModelError(f"{scorer.name} takes no instruction.", remedy="Leave it out.")
    return scorer.instructed(how.instruction).read(query, passages)


def cut_document(prompt: Prompt, passage: Passage, most: int) -> Passage:
    """Return the first `most` tokens of a passage: the title's first, then the text's."""
    title, used = _cut(prompt, passage.title, most)
    text, _ = _cut(prompt, passage.text, most - used)
    return replace(passage, title=title, text=text)


def _cut(prompt: Prompt, text: str, most: int) -> tuple[str, int]:
    """Return the first `most` tokens of a text, and how many these are."""
    if most <= 0 or not text:
        return "", 0
    # One more token than is kept needs at most so many characters.
    offsets = prompt.offsets(text[: (most + 1) * CHARACTERS_PER_TOKEN])
    if len(offsets) <= most:
        return text, len(offsets)
    return text[: offsets[most - 1][1]], most
