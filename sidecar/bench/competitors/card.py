"""The helper of the model card of DeAR-3B-RankNet-LoRA: the baseline and, in batches of one in float32, the oracle.

The card pads a single pair to 228 tokens and a batch to its longest pair; `card-helper-228` pads batches to the limit,
as the authors' evaluation scripts do.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from sidecar.bench.subject import Subject
from sidecar.bench.system import YARDSTICK, Offer, Score
from sidecar.bench.work import Query

BATCH = 128
# For the helper sorted by length: sentence-transformers' default size, since a batch of 128 would hold a whole window.
SORTED_BATCH = 32


class CardHelper:
    """The card's `rerank`, without its sorting of the results. `padding` is the tokenizer's option."""

    def __init__(  # noqa: PLR0913  by keyword
        self,
        tokenizer: Any,
        model: Any,
        *,
        max_length: int,
        padding: str | bool,
        batch_size: int = BATCH,
        by_length: bool = False,
    ) -> None:
        self._tokenizer, self._model = tokenizer, model
        self._limits = {"truncation": True, "max_length": max_length, "padding": padding, "return_tensors": "pt"}
        self._batch_size, self._by_length = batch_size, by_length

    @torch.inference_mode()
    def __call__(self, query: Query) -> list[float]:
        """Return one logit for each passage, in the order given."""
        order = list(range(len(query.documents)))
        if self._by_length:
            order.sort(key=lambda index: -len(query.documents[index]))
        logits: dict[int, float] = {}
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            documents = [query.documents[index] for index in batch]
            inputs = self._tokenizer([query.written] * len(batch), documents, **self._limits)
            inputs = {name: values.to(self._model.device) for name, values in inputs.items()}
            found = self._model(**inputs).logits.squeeze(-1)
            logits.update(zip(batch, found.float().cpu().tolist(), strict=True))
        return [logits[index] for index in range(len(order))]


def load(subject: Subject, *, dtype: str | None = None) -> tuple[Any, Any]:
    """Load tokenizer and model as the card does; with `shared` weights the model is the subject's own."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(subject.foreign))
    if subject.shared:
        return tokenizer, subject.checkpoint.model
    kind = getattr(torch, dtype or subject.dtype)
    model = AutoModelForSequenceClassification.from_pretrained(str(subject.foreign), num_labels=1, dtype=kind)
    return tokenizer, model.eval().to(subject.device)


def oracle(subject: Subject) -> Score:
    """Return plain transformers in float32, one pair at a time, without padding; all scores are compared with its."""
    tokenizer, model = load(subject)
    if model.dtype != torch.float32:
        model = copy.deepcopy(model).float()
    return CardHelper(tokenizer, model, max_length=_limit(subject), padding=False, batch_size=1)


def _padded(subject: Subject) -> Score:
    return CardHelper(*load(subject), max_length=_limit(subject), padding="max_length")


def _longest(subject: Subject) -> Score:
    return CardHelper(*load(subject), max_length=_limit(subject), padding=True)


def _sorted(subject: Subject) -> Score:
    return CardHelper(*load(subject), max_length=_limit(subject), padding=True, batch_size=SORTED_BATCH, by_length=True)


def _limit(subject: Subject) -> int:
    return subject.checkpoint.manifest.max_length


OFFERS = [
    Offer(YARDSTICK, f"the model card's helper, every pair padded to the limit, batches of {BATCH}", _padded),
    Offer("card-helper-longest", f"the model card's helper, padded to the longest, batches of {BATCH}", _longest),
    Offer("card-helper-sorted", f"the same, sorted by characters, batches of {SORTED_BATCH}", _sorted),
]
