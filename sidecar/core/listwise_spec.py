"""Stage two as settings and callers specify it: the generator, and how it reads a ranking. Plain values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.model_spec import Remote, is_remote

ListwiseMode = Literal["direct", "think", "first-token"]
ListwisePrompt = Literal["rankgpt", "dear"]

# The most tokens whose probabilities an OpenAI-compatible API tells, and so the most passages that one may order.
MOST_FIRST_TOKENS = 20
# Members of a request that are ours: another value would ask for something else than a ranking of these passages.
_OURS = ("messages", "model", "n", "stream", "logprobs", "top_logprobs")


def wants_stage_two(requested: bool | str, configured: str) -> bool:
    """Return whether a request asks for stage two; `configured` is the name of the operator's generator, "" for none.

    Raises `InputError` for a generator that is not configured.
    """
    if requested is False:
        return False
    if configured and requested in {True, configured}:
        return True
    wanted = "" if requested is True else f" {str(requested)[:80]!r}"
    has = f"Configured is {configured}." if configured else "The operator has configured none."
    raise InputError(f"there is no generator{wanted} for stage two here.", remedy=has)


class ListwiseSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The generator of stage two, and how it reads a ranking.

    `model` is a preset, a directory, a hub name, or the base URL of an OpenAI-compatible API (replicas with commas
    between), which is asked as `remote` says; `request` are further members of a request to it. Of a ranking the first
    `depth` hits are put in order, `window` of them at a time, from the bottom to the top in steps of `step`.
    `mode` is direct (the generator writes the order), think (it reasons first) or first-token (the order is read off
    the probabilities of the first identifier). `prompt` None is the preset's, else RankGPT's. A passage is cut after
    `passage_words` words. `max_tokens` None is what an answer needs. `base_model`, `device`, `dtype`, `quantization`
    and `offline` are for a local generator, as in `ModelSpec`. Raises ConfigurationError for values that contradict
    each other.
    """

    model: str
    base_model: str | None = None
    depth: int = 30
    window: int = 20
    step: int = 10
    mode: ListwiseMode = "direct"
    prompt: ListwisePrompt | None = None
    passage_words: int = 300
    max_tokens: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    quantization: str = "none"
    offline: bool = False
    remote: Remote = Remote(timeout=120.0)
    request: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.depth < 2 or self.window < 2 or self.step < 1 or self.passage_words < 1:
            raise ConfigurationError(
                f"Stage two can't order {self.depth} hits by windows of {self.window} in steps of {self.step}, with "
                f"{self.passage_words} words of each.",
                remedy="depth and window are at least 2, step and passage_words at least 1.",
            )
        if self.step > self.window:
            raise ConfigurationError(
                f"A step of {self.step} leaves out hits between windows of {self.window}.",
                remedy="The step must not be larger than the window.",
            )
        if self.mode == "first-token" and self.window > MOST_FIRST_TOKENS:
            raise ConfigurationError(
                f"The first token can order {MOST_FIRST_TOKENS} passages, not a window of {self.window}.",
                remedy=f"Lower the window to {MOST_FIRST_TOKENS}, or choose another mode.",
            )
        if taken := [name for name in _OURS if name in self.request]:
            raise ConfigurationError(f"A request to the generator can't set {', '.join(taken)}: stage two does.")

    @property
    def is_remote(self) -> bool:
        """True if a server generates."""
        return is_remote(self.model)

    @property
    def tokens(self) -> int:
        """Return how many tokens an answer may have."""
        if self.mode == "first-token":
            return 3  # an identifier, after a bracket and white space
        # `[20] > ` has five tokens or less; the authors of DeAR allow 1024 for its reasoning.
        return self.max_tokens or (2048 if self.mode == "think" else 16 + 8 * self.window)
