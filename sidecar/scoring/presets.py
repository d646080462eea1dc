"""Checkpoints known by a short name. No weights here, and no loading.

Sources: the card of dear-3b-reranker-ranknet-lora-v1, the README and scripts of DataScienceUIBK/DeAR-Reranking.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.scoring.manifest import Manifest

DEFAULT = "minilm"

UNVERIFIED = (
    "unverified: written from the model card; nobody has run it on the real weights here. The authors' TREC scripts "
    "cut the sides apart (truncation separate) and pool the last slot (pooling last_slot)."
)


@dataclass(frozen=True, slots=True)
class Preset:
    """A hub id with its manifest. `revision` pins a commit; None follows the hub's main branch."""

    model: str
    manifest: Manifest
    revision: str | None = None


DEAR = Manifest(note=UNVERIFIED)

# A bi-encoder reads each text alone: the query as it is, the passage after its title. 256 tokens is the limit its
# authors set, though its positions reach 512.
MINILM = Manifest(
    kind="bi-encoder",
    query_template="{query}",
    document_template="{title} {passage}",
    strip=True,
    max_length=256,
    pooling="mean",
)

# RankLLaMA's published usage and the DeAR scripts write the pair as DeAR does and append no eos (Tevatron's later
# trainer can append one: not this checkpoint's, as far as its authors say). Their scripts build the teacher's ids
# with transformers 4's Llama-2 tokenizer, which may double each bos: see it on the real weights before trusting it.
RANKLLAMA = Manifest(note=UNVERIFIED)

PRESETS: dict[str, Preset] = {
    "minilm": Preset("sentence-transformers/all-MiniLM-L6-v2", MINILM),
    "dear-3b-ranknet-lora": Preset("abdoelsayed/dear-3b-reranker-ranknet-lora-v1", DEAR),
    "dear-3b-ce-lora": Preset("abdoelsayed/dear-3b-reranker-ce-lora-v1", DEAR),
    "dear-3b": Preset("abdoelsayed/dear-3b-reranker-ranknet-v1", DEAR),
    "dear-8b-ranknet-lora": Preset("abdoelsayed/dear-8b-reranker-ranknet-lora-v1", DEAR),
    # The card does not name the full 8B; the authors' README does, by the same pattern.
    "dear-8b": Preset("abdoelsayed/dear-8b-reranker-ranknet-v1", DEAR),
    "llama2-13b-rankllama": Preset("abdoelsayed/llama2-13b-rankllama-teacher", RANKLLAMA),
}
