"""A node postprocessor of LlamaIndex that reranks, for `node_postprocessors=[…]` of a query engine."""

from __future__ import annotations

from typing import Any

from sidecar.core.errors import InputError
from sidecar.integrations.scoring import as_reranker, best_first, check_top, missing, passage
from sidecar.reranker import Reranker
from sidecar.scoring.checkpoints.presets import DEFAULT

try:
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
except ImportError as error:
    raise missing("LlamaIndex", "llamaindex", error) from error


class SidecarPostprocessor(BaseNodePostprocessor):
    """Rerank nodes, and keep the `top_n` best (None: all).

    `model` is a preset, a directory, a hub name or a `Reranker`; `options` are those of `load_reranker`. The model
    reads a node's text, and the metadata's `title_key` as title (None: no title). The score of a node becomes the
    model's raw score, None for a node without text.
    """

    model: str = DEFAULT
    top_n: int | None = None
    title_key: str | None = "title"

    _reranker: Reranker = PrivateAttr()

    def __init__(
        self,
        model: str | Reranker = DEFAULT,
        *,
        top_n: int | None = None,
        title_key: str | None = "title",
        **options: Any,
    ) -> None:
        reranker = as_reranker(model, options)
        name = model if isinstance(model, str) else reranker.scorer.name
        super().__init__(model=name, top_n=check_top(top_n, "top_n"), title_key=title_key)
        self._reranker = reranker

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex serialises the class."""
        return "SidecarPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("reranking needs the query.", remedy="Give query_str or query_bundle.")
        passages = [
            passage(one.node.get_content(metadata_mode=MetadataMode.NONE), one.node.metadata.get(self.title_key))
            for one in nodes
        ]
        return [
            NodeWithScore(node=nodes[index].node, score=score)
            for index, score in best_first(self._reranker, query_bundle.query_str, passages, self.top_n)
        ]
