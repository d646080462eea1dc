"""`predict` and `rank` as sentence-transformers' `CrossEncoder` has them, with our engines. Does not import theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sidecar.core.errors import InputError
from sidecar.integrations.scoring import as_reranker
from sidecar.reranker import Reranker
from sidecar.scoring.checkpoints.presets import DEFAULT


class CrossEncoder:
    """Score pairs and rank documents.

    `model` is a preset, a directory, a hub name or a `Reranker`; `options` are those of `load_reranker`. Scores are
    the model's raw ones, as sentence-transformers' with `activation_fn=torch.nn.Identity()`. Parameters of theirs that
    are missing here are refused (TypeError).
    """

    def __init__(self, model: str | Reranker = DEFAULT, **options: Any) -> None:
        self._reranker = as_reranker(model, options)

    def predict(self, inputs: Sequence[Any]) -> Any:
        """Return the float32 score of each (query, document) pair, as an array of shape (pairs,); of one pair a number.

        Raises `InputError` for what is not a pair of texts, and for an empty query.
        """
        if len(inputs) == 2 and all(isinstance(one, str) for one in inputs):
            return self._scores([(inputs[0], inputs[1])])[0]
        return self._scores([_pair(one, index) for index, one in enumerate(inputs)])

    def rank(
        self, query: str, documents: Sequence[str], top_k: int | None = None, *, return_documents: bool = False
    ) -> list[dict[str, Any]]:
        """Return `{"corpus_id", "score"}` of the best documents, best first; `return_documents` adds the `text`.

        Raises `InputError` as `predict`, and for a `top_k` that is not a number from 1 on.
        """
        return [
            {
                "corpus_id": found.index,
                "score": np.float32(found.score),
                **({"text": found.document} if return_documents else {}),
            }
            for found in self._reranker.rank(query, documents, top_k=top_k)
        ]

    def _scores(self, pairs: list[tuple[str, str]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        scores = np.empty(len(pairs), np.float32)
        places: dict[str, list[int]] = {}
        for place, (query, _) in enumerate(pairs):
            places.setdefault(query, []).append(place)
        for query, mine in places.items():
            for found in self._reranker.rank(query, [pairs[place][1] for place in mine]):
                scores[mine[found.index]] = found.score
        return scores


def _pair(given: Any, index: int) -> tuple[str, str]:
    if isinstance(given, str) or len(given) != 2 or not all(isinstance(one, str) for one in given):
        raise InputError(f"inputs[{index}] is {given!r}, not a pair of texts.", remedy="Give (query, document).")
    query, document = given
    return query, document
