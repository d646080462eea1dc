"""The settings of stage two, declared once; `sidecar.settings` reads them with all the others."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, SecretStr

from sidecar.core.listwise_spec import ListwiseMode, ListwisePrompt, ListwiseSpec
from sidecar.core.model_spec import Remote, is_remote


class ListwiseSettings(BaseModel):
    """The settings of stage two, a part of `Settings`."""

    listwise_model: str | None = Field(
        None,
        min_length=1,
        description="Generator that puts the first reranked hits in order: the base URL of an OpenAI-compatible API, "
        "a preset, a directory or a name at the hub. Unset: no stage two.",
    )
    listwise_base_model: str | None = Field(
        None, description="Base model of a generator that is an adapter. Unset: the one that the adapter names."
    )
    listwise_depth: int = Field(30, ge=2, le=1000, description="Number of reranked hits that stage two puts in order.")
    listwise_window: int = Field(20, ge=2, le=100, description="Number of hits that the generator reads at once.")
    listwise_step: int = Field(10, ge=1, le=100, description="Hits by which the window moves towards the top.")
    listwise_mode: ListwiseMode = Field(
        "direct",
        description="How the generator answers. direct: with the order. think: it reasons first. first-token: the "
        "order is read off the probabilities of the first identifier.",
    )
    listwise_prompt: ListwisePrompt | None = Field(
        None, description="Wording of the prompt. Unset: dear for DeAR's presets, otherwise rankgpt."
    )
    listwise_passage_words: int = Field(
        300, ge=1, le=10_000, description="Words of a passage that the generator reads."
    )
    listwise_max_tokens: int | None = Field(
        None,
        ge=1,
        le=131_072,
        description="Largest number of tokens of an answer. Unset: 16 and 8 for each hit of a window, or 2048 with the "
        "mode think.",
    )
    listwise_name: str | None = Field(None, description="Name of the generator at its API. Unset: its only model.")
    listwise_api_key: SecretStr | None = Field(None, description="API key of the generator.")
    listwise_timeout: float = Field(
        120.0,
        gt=0,
        le=3600,
        description="Seconds that stage two may take for a query, with all retries; in the service the budget of the "
        "search counts.",
    )
    listwise_concurrency: int = Field(
        8, ge=1, le=1024, description="Queries that are sent to the API of the generator at once."
    )
    listwise_request: dict[str, Any] = Field(
        {}, description='More members of a request to the API: {"chat_template_kwargs": {"enable_thinking": false}}.'
    )

    def as_listwise(self, *, device: str, dtype: str, quantization: str) -> ListwiseSpec | None:
        """Return the generator these settings name; None if there is none.

        A local one runs where and how the arguments say. Raises `ConfigurationError` for settings that contradict each
        other.
        """
        if self.listwise_model is None:
            return None
        key = None if self.listwise_api_key is None else self.listwise_api_key.get_secret_value()
        timeout, remote = self.listwise_timeout, Remote(timeout=self.listwise_timeout)
        if is_remote(self.listwise_model):
            device, dtype, quantization = "auto", "auto", "none"
            remote = Remote(
                model=self.listwise_name, api_key=key, timeout=timeout, concurrency=self.listwise_concurrency
            )
        return ListwiseSpec(
            model=self.listwise_model,
            base_model=self.listwise_base_model,
            depth=self.listwise_depth,
            window=self.listwise_window,
            step=self.listwise_step,
            mode=self.listwise_mode,
            prompt=self.listwise_prompt,
            passage_words=self.listwise_passage_words,
            max_tokens=self.listwise_max_tokens,
            device=device,
            dtype=dtype,
            quantization=quantization,
            remote=remote,
            request=self.listwise_request,
        )
