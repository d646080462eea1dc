"""Checkpoints with a short name. This module holds no weights and loads nothing.

Sources: the card of dear-3b-reranker-ranknet-lora-v1, the README and scripts of DataScienceUIBK/DeAR-Reranking; the
cards of the others, each under its hub id below.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from sidecar.scoring.checkpoints.manifest import Manifest

# The model whose weights this package carries, so that a first run needs no network.
DEFAULT = EMBEDDED = "e5-small"
_MODELS = Path(__file__).parents[2] / "models"
# Models in this package, and the folder of each; their manifests are in the folders. The second is only an adapter.
CARRIED = {EMBEDDED: _MODELS / "e5-small", "minilm-reranker": _MODELS / "minilm-reranker"}

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

# A pair of plain texts: the input of encoders trained by sentence-transformers and the like.
PLAIN_PAIR = Manifest(
    query_template="{query}", document_template="{title} {passage}", strip=True, max_length=512, pooling="model"
)

# A bi-encoder reads each text alone: the query as it is, the passage after its title. Its authors set the limit of
# 256 tokens, though it has 512 positions.
MINILM = Manifest(
    kind="bi-encoder",
    query_template="{query}",
    document_template="{title} {passage}",
    strip=True,
    max_length=256,
    pooling="mean",
)

# RankLLaMA's published usage and the DeAR scripts write the pair as DeAR does and append no eos. (Tevatron's later
# trainer can append one; its authors do not say so of this checkpoint.) Their scripts make the teacher's ids with
# transformers 4's Llama-2 tokenizer, which may double each bos: check it on the real weights before you rely on it.
RANKLLAMA = Manifest(note=UNVERIFIED)

BY_CARD = (
    "unverified: written from the model card; the architecture is proved equal to plain transformers on a small "
    "checkpoint, and nobody has run it on the real weights here."
)

# Query and passage as a pair, as the cards call their tokenizers. The cards have no titles: one is put before the text.
# bge's and gte's cards cut at 512 tokens in their examples, though the models have 8192 positions.
CARD_PAIR = Manifest(
    query_template="{query}", document_template="{document}", strip=True, max_length=512, pooling="model", note=BY_CARD
)

# The card's prompt for transformers (its example for vLLM has other line breaks), its default task and its limit.
QWEN3 = Manifest(
    query_template="<Instruct>: {instruction}\n<Query>: {query}\n",
    document_template="<Document>: {document}",
    instruction="Given a web search query, retrieve relevant passages that answer the query",
    prefix=(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    ),
    suffix="<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    truncation="body",
    max_length=8192,
    yes_token="yes",  # noqa: S106  an answer, not a password
    no_token="no",  # noqa: S106
    note=BY_CARD,
)

# mxbai_rerank_v2.py of github.com/mixedbread-ai/mxbai-rerank (commit 8e709dc): each part is tokenised apart, and the
# score is logit("1") - logit("0"). Its 8192 tokens are those of query and document; here the prompt counts, too.
MXBAI_V2 = Manifest(
    query_template="query: {query}",
    document_template="document: {document}",
    prefix=(
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
    ),
    between="\n",
    suffix=(
        "\nYou are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:<|im_end|>\n<|im_start|>assistant\n"
    ),
    truncation="sides",
    max_length=8192,
    yes_token="1",  # noqa: S106
    no_token="0",  # noqa: S106
    note=BY_CARD,
)

# NVIDIA's recipe for nvidia/llama-nemotron-rerank-1b-v2 (one text, 512 tokens; 8192 fit), and the code that NeMo
# exports beside such a model. Its config.json decides how rows are pooled.
NEMOTRON = Manifest(
    query_template="question:{query}",
    document_template=" \n \n passage:{document}",
    prefix="<|begin_of_text|>",
    truncation="body",
    max_length=512,
    pooling="model",
    note="unverified: written from NVIDIA's published code and recipe; nobody has run it on the real weights here.",
)
# What checkpoints of an architecture without a sidecar.json are read like.
READ_LIKE = {"LlamaBidirectionalForSequenceClassification": NEMOTRON}

# Bi-encoders with a prompt, as their cards write it; 512 tokens is their authors' limit. E5's is of the hub's copy: the
# one in this package has a manifest beside it.
BGE = Manifest(
    kind="bi-encoder",
    query_template="Represent this sentence for searching relevant passages: {query}",
    document_template="{document}",
    strip=True,
    max_length=512,
    pooling="first_token",
)
E5 = msgspec.structs.replace(
    BGE, query_template="query: {query}", document_template="passage: {document}", pooling="mean", note=BY_CARD
)

PRESETS: dict[str, Preset] = {
    "minilm": Preset("sentence-transformers/all-MiniLM-L6-v2", MINILM),
    "bge-small": Preset("BAAI/bge-small-en-v1.5", BGE),
    "e5-small": Preset("intfloat/e5-small-v2", E5),
    "multilingual-e5-small": Preset("intfloat/multilingual-e5-small", E5),
    "dear-3b-ranknet-lora": Preset("abdoelsayed/dear-3b-reranker-ranknet-lora-v1", DEAR),
    "dear-3b-ce-lora": Preset("abdoelsayed/dear-3b-reranker-ce-lora-v1", DEAR),
    "dear-3b": Preset("abdoelsayed/dear-3b-reranker-ranknet-v1", DEAR),
    "dear-8b-ranknet-lora": Preset("abdoelsayed/dear-8b-reranker-ranknet-lora-v1", DEAR),
    # The card does not name these; the authors' README does.
    "dear-8b": Preset("abdoelsayed/dear-8b-reranker-ranknet-v1", DEAR),
    "dear-3b-ce": Preset("abdoelsayed/dear-3b-reranker-ce-v1", DEAR),
    "dear-8b-ce": Preset("abdoelsayed/dear-8b-reranker-ce-v1", DEAR),
    "dear-8b-ce-lora": Preset("abdoelsayed/dear-8b-reranker-ce-lora-v1", DEAR),
    "llama2-13b-rankllama": Preset("abdoelsayed/llama2-13b-rankllama-teacher", RANKLLAMA),
    "ms-marco-minilm": Preset("cross-encoder/ms-marco-MiniLM-L6-v2", CARD_PAIR),
    "bge-reranker-v2-m3": Preset("BAAI/bge-reranker-v2-m3", CARD_PAIR),
    "gte-reranker-modernbert": Preset("Alibaba-NLP/gte-reranker-modernbert-base", CARD_PAIR),
    "mxbai-rerank-base": Preset("mixedbread-ai/mxbai-rerank-base-v1", CARD_PAIR),
    "qwen3-reranker-0.6b": Preset("Qwen/Qwen3-Reranker-0.6B", QWEN3),
    "qwen3-reranker-4b": Preset("Qwen/Qwen3-Reranker-4B", QWEN3),
    "qwen3-reranker-8b": Preset("Qwen/Qwen3-Reranker-8B", QWEN3),
    "nemotron-rerank-1b-v2": Preset("nvidia/llama-nemotron-rerank-1b-v2", NEMOTRON),
    "mxbai-rerank-base-v2": Preset("mixedbread-ai/mxbai-rerank-base-v2", MXBAI_V2),
    "mxbai-rerank-large-v2": Preset("mixedbread-ai/mxbai-rerank-large-v2", MXBAI_V2),
}

# Generators for stage two, which want DeAR's prompt: name → hub id, as the authors' README has them. The adapter names
# its base, Llama-3.1-8B-Instruct. Unverified: nobody has run them on the real weights here.
LISTWISE = {
    "dear-8b-listwise": "abdoelsayed/dear-8b-reranker-listwise-v1",
    "dear-8b-listwise-lora": "abdoelsayed/dear-8b-reranker-listwise-lora-v1",
}
