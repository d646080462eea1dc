"""A ranker component of Haystack, for a pipeline behind a retriever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sidecar.integrations.scoring import as_reranker, best_first, check_top, missing, passage
from sidecar.reranker import Reranker
from sidecar.scoring.checkpoints.presets import DEFAULT

try:
    from haystack import Document, component, default_to_dict
except ImportError as error:
    raise missing("Haystack", "haystack", error) from error


@component
class SidecarRanker:
    """Rerank documents, and keep the `top_k` best (None: all).

    `model` is a preset, a directory or a hub name; `options` are those of `load_reranker`. The model reads `content`,
    and the `title_key` of `meta` as title (None: no title). The documents that come out are copies, best first, with
    the model's raw score, None for a document without text. The model is loaded by `warm_up`, or at the first run.
    """

    def __init__(
        self, model: str = DEFAULT, *, top_k: int | None = None, title_key: str | None = "title", **options: Any
    ) -> None:
        self.model, self.title_key, self.options = model, title_key, options
        self.top_k = check_top(top_k, "top_k")
        self._reranker: Reranker | None = None

    def warm_up(self) -> Reranker:
        """Load the model. Raises what `load_reranker` raises."""
        if self._reranker is None:
            self._reranker = as_reranker(self.model, self.options)
        return self._reranker

    def to_dict(self) -> dict[str, Any]:
        """Return the component as Haystack writes it into a pipeline's file."""
        own = {"model": self.model, "top_k": self.top_k, "title_key": self.title_key}
        found: dict[str, Any] = default_to_dict(self, **own, **self.options)
        return found

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[Document]]:
        """Return the best documents; `top_k` replaces the component's. Raises `InputError` for an empty query."""
        top = self.top_k if top_k is None else check_top(top_k, "top_k")
        passages = [passage(one.content, one.meta.get(self.title_key)) for one in documents]
        ranked = best_first(self.warm_up(), query, passages, top)
        return {"documents": [replace(documents[index], score=score) for index, score in ranked]}
