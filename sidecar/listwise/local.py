"""A generator on this machine: a causal model of transformers, with a LoRA adapter if it has one; decoded greedily."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sidecar.core.errors import ConfigurationError, ModelError, ScorerUnavailable, ScoringError
from sidecar.core.listwise_spec import ListwisePrompt, ListwiseSpec
from sidecar.core.missing_package import missing_package
from sidecar.listwise.first_token import TokenChoices
from sidecar.listwise.prompt import Chat, Message, plain
from sidecar.listwise.windows import Answer
from sidecar.scoring.checkpoints.lora_adapter import (
    GENERATING,
    choose_base,
    is_adapter,
    read_config,
    tokenizer_directory,
)
from sidecar.scoring.checkpoints.presets import LISTWISE
from sidecar.scoring.fingerprint import digest_of
from sidecar.scoring.loading import locate


class LocalGenerator:
    """A loaded generator; it answers one chat at a time, whichever threads ask.

    `identity` is of the content of its files. A chat that the model can't read whole is refused.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, spec: ListwiseSpec, identity: str) -> None:
        self.name = name
        self.prompt: ListwisePrompt = prompt_of(spec)
        self.identity = identity
        self._model, self._tokenizer, self._spec = model, tokenizer, spec
        self._control = sorted({token for token in map(str, _special(tokenizer)) if token.strip()}, key=len)
        self._device = threading.Lock()
        self._given_up = threading.Event()

    def answer(self, chat: Chat, *, seconds: float) -> Answer:
        """Answer a chat. Raises ScorerUnavailable if that takes longer than `seconds`, ScoringError for a long chat."""
        deadline = time.monotonic() + seconds
        if not self._device.acquire(timeout=max(0.0, seconds)):
            raise self._late(seconds)
        try:
            self._given_up.clear()
            ids = self._read(chat.messages)
            if self._spec.mode == "first-token":
                return Answer("", tokens=self._first_tokens(ids, chat.identifiers))
            return self._generated(ids, deadline, seconds)
        finally:
            self._device.release()

    def cancel(self) -> None:
        """Give up the chat that is being answered: whoever waits gets a ScorerUnavailable."""
        self._given_up.set()

    def _read(self, messages: Sequence[Message]) -> list[int]:
        """Tokenise a chat by the model's own template; the texts in it hold no control tokens."""
        shown = [{**message, "content": plain(message["content"], self._control)} for message in messages]
        text = self._tokenizer.apply_chat_template(
            shown, tokenize=False, add_generation_prompt=True, enable_thinking=self._spec.mode == "think"
        )
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        limit = getattr(self._model.config, "max_position_embeddings", None)
        if limit is not None and len(ids) + self._spec.tokens > limit:
            raise ScoringError(
                f"{self.name} reads {limit} tokens; a window has {len(ids)}, and its answer {self._spec.tokens}.",
                remedy="Lower SIDECAR_LISTWISE_WINDOW or SIDECAR_LISTWISE_PASSAGE_WORDS.",
            )
        return ids

    def _generated(self, ids: list[int], deadline: float, seconds: float) -> Answer:
        import torch

        def over(*_: object, **__: object) -> Any:
            ended = time.monotonic() >= deadline or self._given_up.is_set()
            return torch.full((1,), ended, dtype=torch.bool, device=self._model.device)

        prompt = torch.tensor([ids], device=self._model.device)
        with torch.inference_mode():
            made = self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=self._spec.tokens,
                stopping_criteria=[over],
            )[0, len(ids) :].tolist()
        ended = bool(made) and made[-1] in _ends(self._model.generation_config)
        if not ended and len(made) < self._spec.tokens:
            raise self._late(seconds)
        return Answer(self._tokenizer.decode(made, skip_special_tokens=True), cut=not ended)

    def _first_tokens(self, ids: list[int], identifiers: Sequence[str]) -> list[TokenChoices]:
        """Return the probabilities of each identifier as the first token, and as the one after a bracket."""
        import torch

        bracket = self._one_token("[")
        with torch.inference_mode():
            prompt = torch.tensor([[*ids, *([] if bracket is None else [bracket])]], device=self._model.device)
            logits = self._model(prompt, use_cache=False, logits_to_keep=len(prompt[0]) - len(ids) + 1).logits[0]
            found = logits.float().log_softmax(-1)
        if not bool(torch.isfinite(found).any(-1).all()):
            raise ScoringError(f"{self.name} gives NaN or infinity.", remedy="Try another --dtype.")
        first = self._choices(found[0], [*identifiers, *(f"[{name}" for name in identifiers)])
        if bracket is None:
            return [TokenChoices("", first)]
        opened = ("[", float(found[0, bracket]))
        return [TokenChoices("[", [*first, opened]), TokenChoices("", self._choices(found[1], identifiers))]

    def _choices(self, logarithms: Any, texts: Sequence[str]) -> list[tuple[str, float]]:
        ids = {text: token for text in texts if (token := self._one_token(text)) is not None}
        return [(text, float(logarithms[token])) for text, token in ids.items()]

    def _one_token(self, text: str) -> int | None:
        found = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return found[0] if len(found) == 1 else None

    def _late(self, seconds: float) -> ScorerUnavailable:
        return ScorerUnavailable(f"{self.name} did not answer within {seconds:.3g} s")


def load_local(spec: ListwiseSpec) -> LocalGenerator:
    """Load a generator: a preset, a directory (adapter or full) or a name at the hub.

    Raises a ModelError, ConfigurationError for a base model without an adapter or an option of a remote generator.
    """
    with missing_package("a generator", otherwise="give the URL of a server as the generator"):
        return _load(spec)


def _load(spec: ListwiseSpec) -> LocalGenerator:
    from transformers import GenerationConfig

    from sidecar.scoring.checkpoints.checkpoint import Placement, check_vocabulary, load_tokenizer
    from sidecar.scoring.checkpoints.generator import load_generator

    own, base, base_name = directories(spec)
    adapter = own if base != own else None
    tokenizer = load_tokenizer(tokenizer_directory(own, base) if adapter else base)
    if not tokenizer.chat_template:
        raise ModelError(
            f"{spec.model!r} has no chat template, so it can't be asked as it was trained.",
            remedy="Use an instruction-tuned model, or save its chat template with the tokenizer.",
        )
    placement = Placement(spec.device, spec.dtype, quantization=spec.quantization)
    model = load_generator(base, placement, adapter=adapter, base=base_name)
    check_vocabulary(tokenizer, len(model.get_input_embeddings().weight), own)
    ends = _ends(model.generation_config) | ({tokenizer.eos_token_id} - {None})
    # The checkpoint's own defaults may sample, or punish repeated tokens, which a list of identifiers has.
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=sorted(ends), pad_token_id=min(ends, default=0)
    )
    return LocalGenerator(spec.model, model, tokenizer, spec, digest_of([own, *([base] if adapter else [])]))


def directories(spec: ListwiseSpec) -> tuple[Path, Path, str]:
    """Return a generator's directory, that of the base model (its own if it is no adapter), and the base's name.

    Fetches what is not on this machine. Raises a ModelError, and ConfigurationError for a base model of no adapter.
    """
    own = locate(LISTWISE.get(spec.model, spec.model), offline=spec.offline).directory
    if not is_adapter(own):
        if spec.base_model is not None:
            raise ConfigurationError(f"{spec.model!r} is no adapter: it takes no base model.")
        return own, own, spec.model
    config = read_config(own, GENERATING)
    name = choose_base(config, spec.base_model)
    revision = None if spec.base_model else config.get("revision")
    return own, locate(name, revision=revision, offline=spec.offline).directory, name


def prompt_of(spec: ListwiseSpec) -> ListwisePrompt:
    """Return the wording that was asked for, else the preset's, else RankGPT's."""
    return spec.prompt or ("dear" if spec.model in {*LISTWISE, *LISTWISE.values()} else "rankgpt")


def _ends(config: Any) -> set[int]:
    """Return the tokens that end an answer."""
    found = config.eos_token_id
    return set() if found is None else {found} if isinstance(found, int) else set(found)


def _special(tokenizer: Any) -> list[Any]:
    added = [token for token in tokenizer.added_tokens_decoder.values() if token.special]
    return [*tokenizer.all_special_tokens, *added]
