"""A document compressor of LangChain that reranks: for `ContextualCompressionRetriever`, or called by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sidecar.integrations.scoring import as_reranker, best_first, check_top, missing, passage
from sidecar.reranker import Reranker
from sidecar.scoring.checkpoints.presets import DEFAULT

try:
    from langchain_core.documents import BaseDocumentCompressor, Document
    from pydantic import ConfigDict, PrivateAttr
except ImportError as error:
    raise missing("LangChain", "langchain", error) from error

if TYPE_CHECKING:
    from langchain_core.callbacks import Callbacks


class SidecarReranker(BaseDocumentCompressor):
    """Rerank documents, and keep the `top_n` best (None: all).

    `model` is a preset, a directory, a hub name or a `Reranker`; `options` are those of `load_reranker`. The model
    reads `page_content`, and the metadata's `title_key` as title (None: no title). The result has copies of the
    documents, best first, with the model's raw score as `relevance_score` in the metadata, None for a document without
    text.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: str | Reranker = DEFAULT
    top_n: int | None = None
    title_key: str | None = "title"
    options: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it

    _reranker: Reranker = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Load the model. Raises what `load_reranker` raises."""
        del context
        check_top(self.top_n, "top_n")
        self._reranker = as_reranker(self.model, self.options)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the best documents. Raises `InputError` for an empty query."""
        del callbacks  # nothing here that they could be told of
        passages = [passage(one.page_content, one.metadata.get(self.title_key)) for one in documents]
        return [
            documents[index].model_copy(update={"metadata": {**documents[index].metadata, "relevance_score": score}})
            for index, score in best_first(self._reranker, query, passages, self.top_n)
        ]

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Do the same in a thread, without blocking the event loop."""
        return await asyncio.to_thread(self.compress_documents, documents, query, callbacks)
