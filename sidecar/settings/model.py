"""The settings of the model, local or remote."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from sidecar.core.model_spec import Chunking, ModelSpec, Remote


class ModelSettings(BaseModel):
    """The settings of the model, a part of `Settings`."""

    model: str = Field(
        "e5-small",
        description="Reranker: a preset, a directory, a name at the hub, or the URL of a remote scorer, of several "
        "replicas with commas between.",
    )
    base_model: str | None = Field(None, description="Base model of an adapter. Unset: the one that the adapter names.")
    revision: str | None = Field(None, description="Revision of the model at the hub.")
    base_revision: str | None = Field(None, description="Revision of the base model at the hub.")
    device: str = Field("auto", description="Device that scores: auto, cpu, cuda, cuda:1 or mps.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Precision. auto: on a GPU bfloat16, or float16 if the GPU has no bfloat16; on a CPU float32, or "
        "bfloat16 for an encoder whose scores stay the same and come faster.",
    )
    batch_size: int = Field(128, ge=1, le=4096, description="Largest number of pairs in one forward pass.")
    max_length: int | None = Field(
        None, ge=8, le=131072, description="Largest number of tokens of a pair. Unset: the limit of the model."
    )
    scoring_engine: Literal["auto", "packed", "transformers", "openvino", "card"] = Field(
        "auto",
        description="Scoring engine. auto: the fastest exact one. card: the code of the model card.",
    )
    batch_invariant: bool = Field(
        False, description="Give a pair the same score, to the last bit, in every batch; slower."
    )
    compile: bool | None = Field(
        None,
        description="Compile the model with torch.compile: slower start, faster scoring. Unset: only the service does "
        "it, in the background, for a decoder on a GPU.",
    )

    quantization: Literal["none", "8bit", "4bit", "fp8"] = Field(
        "none",
        description="Quantise the weights, except the score head. 8bit, 4bit: with bitsandbytes. fp8: in the packed "
        "engine, on an NVIDIA GPU of compute capability 8.9 or later.",
    )
    long_passages: Literal["cut", "chunk"] = Field(
        "cut",
        description="How to score passages that are too long. cut: only their beginning. chunk: their best chunk.",
    )
    chunk_tokens: int | None = Field(
        None, ge=8, le=131072, description="Tokens of text in a chunk. Unset: as many as fit beside query and title."
    )
    chunk_overlap: int = Field(32, ge=0, le=4096, description="Tokens that a chunk shares with the previous one.")
    max_chunks: int = Field(
        16, ge=1, le=1024, description="Largest number of chunks of a passage; the text after them is not read."
    )
    score_file: Path | None = Field(
        None, description="File that keeps scores between runs, so that another fusion or window needs no scoring."
    )

    remote_dialect: Literal[
        "auto", "sidecar", "tei", "vllm", "vllm-score", "infinity", "nim", "cohere", "jina", "voyage"
    ] = Field("auto", description="Rerank API of a remote scorer. auto: ask the server.")
    remote_model: str | None = Field(
        None, description="Name of the model at a remote scorer. Unset: its only model, or its default."
    )
    remote_api_key: SecretStr | None = Field(None, description="API key of the remote scorer that --model names.")
    remote_timeout: float = Field(
        30.0, gt=0, le=3600, description="Seconds that a remote scorer may take for a query, with all retries."
    )
    remote_batch: int | None = Field(
        None, ge=1, le=10_000, description="Passages in a request to a remote scorer. Unset: as many as it takes."
    )
    remote_concurrency: int = Field(8, ge=1, le=1024, description="Requests to one remote server at once.")

    def as_model(self) -> ModelSpec:
        """The model these settings name. Raises `ConfigurationError` for chunks that would not advance."""
        return ModelSpec(
            model=self.model,
            base_model=self.base_model,
            revision=self.revision,
            base_revision=self.base_revision,
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            max_length=self.max_length,
            quantization=self.quantization,
            engine=self.scoring_engine,
            invariant=self.batch_invariant,
            # Before anything is scored: compiled later, the same command would not give the same bytes.
            compile="before" if self.compile else "never",
            chunking=None if self.long_passages == "cut" else self._chunking(),
            remote=self._remote(),
        )

    def _remote(self) -> Remote:
        return Remote(
            dialect=self.remote_dialect,
            model=self.remote_model,
            api_key=self.remote_api_key.get_secret_value() if self.remote_api_key else None,
            timeout=self.remote_timeout,
            batch=self.remote_batch,
            concurrency=self.remote_concurrency,
        )

    def _chunking(self) -> Chunking:
        return Chunking(self.chunk_tokens, self.chunk_overlap, self.max_chunks)
