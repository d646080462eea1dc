"""The decoders that are packed: how each one's block differs from Llama's, and the configuration keys that say so.

A new architecture is an entry of `FAMILIES`: an allow-list of its keys and its constant differences. Loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# transformers' names of a layer's attention.
FULL, SLIDING = "full_attention", "sliding_attention"
Window = tuple[int, int]
CAUSAL: Window = (-1, 0)
BIDIRECTIONAL: Window = (-1, -1)
ACTIVATIONS = ("silu", "gelu_pytorch_tanh")


@dataclass(frozen=True, slots=True)
class AttentionKind:
    """How a layer attends.

    `window`: how many keys a row sees before and after its own, which it always sees; -1 is all of them. A segment's
    last row stands at its last key. Products of queries and keys are multiplied by `scale` (None: one over the square
    root of the head size), then, with a `softcap` c, each becomes c · tanh(product / c).
    """

    window: Window = CAUSAL
    scale: float | None = None
    softcap: float | None = None

    def within(self, keys: int) -> AttentionKind:
        """Return the same kind without a limit to the keys before a row that hides none of so many keys."""
        before, after = self.window
        return replace(self, window=(-1, after)) if before >= keys - 1 else self


@dataclass(frozen=True, slots=True)
class Architecture:
    """The differences of one checkpoint's block from Llama's.

    - `attention`: how the layers attend, by the names in `layer_types`, which has one for each layer.
    - `activation`: the MLP's, one of `ACTIVATIONS`.
    - `biased`: the fused matrices that have a bias.
    - `head_norms`: queries and keys are normalised head by head before they are rotated (QK-norm).
    - `post_norms`: the outputs of attention and MLP are normalised before they are added.
    - `centred_norms`: a norm's weight is stored less one, and multiplied in float32.
    - `scaled_embeddings`: embeddings are multiplied by the square root of their size.
    - `mean_pooled`: the head reads the mean of all rows, not one row.
    - `temperature`: logits are divided by it.
    """

    name: str
    layer_types: tuple[str, ...]
    attention: Mapping[str, AttentionKind]
    activation: str
    biased: tuple[str, ...] = ()
    head_norms: bool = False
    post_norms: bool = False
    centred_norms: bool = False
    scaled_embeddings: bool = False
    mean_pooled: bool = False
    temperature: float = 1.0

    @property
    def causal(self) -> bool:
        """True if no row sees a row after it, so that rows of a shared prefix do not depend on what follows."""
        return all(kind.window[1] == 0 for kind in self.attention.values())

    @property
    def window(self) -> int | None:
        """Return the fewest keys that a layer's window holds, the row's own included; None if none has a limit."""
        return min((kind.window[0] + 1 for kind in self.attention.values() if kind.window[0] >= 0), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A `model_type`: the keys of its `config.json` beside those that all have, and its constant `differences`.

    The values of `computed` keys are used, those of `inert` ones change no score. `fixed` keys are supported with one
    of the values given. `activation` is the key that names the MLP's. With `rotary_by_layer_type` each type of layers
    has rotary frequencies of its own. `full` is the window of layers without one. `read_as` is the `model_type` that
    transformers reads the configuration as, if it does not have the architecture itself.
    """

    name: str
    computed: frozenset[str] = frozenset()
    inert: frozenset[str] = frozenset()
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    differences: Mapping[str, Any] = field(default_factory=dict)
    activation: str = "hidden_act"
    rotary_by_layer_type: bool = False
    full: Window = CAUSAL
    read_as: str | None = None


_LAYER_TYPES = frozenset({"use_sliding_window", "sliding_window", "max_window_layers", "layer_types"})
_GEMMA = {"centred_norms": True, "scaled_embeddings": True}
_CAUSAL = {"use_bidirectional_attention": (False,)}
# Of generation, and a name of the window that transformers does not read.
_GEMMA_INERT = frozenset({"cache_implementation", "final_logit_softcapping", "hidden_act", "sliding_window_size"})
FAMILIES: dict[str, Family] = {
    "llama": Family(name="Llama", computed=frozenset({"attention_bias", "mlp_bias"})),
    # NVIDIA's code beside llama-nemotron-rerank-1b-v2, which is not run, computes a Llama with these differences.
    "llama_bidirec": Family(
        name="LlamaBidirectional",
        computed=frozenset({"attention_bias", "mlp_bias", "temperature"}),
        inert=frozenset({"auto_map"}),
        fixed={"architectures": (["LlamaBidirectionalForSequenceClassification"],), "pooling": ("avg",)},
        differences={"mean_pooled": True},
        full=BIDIRECTIONAL,
        read_as="llama",
    ),
    "mistral": Family(name="Mistral", computed=frozenset({"sliding_window"})),
    "qwen2": Family(
        name="Qwen2", computed=_LAYER_TYPES, fixed={"use_mrope": (False,)}, differences={"biased": ("qkv",)}
    ),
    "qwen3": Family(
        name="Qwen3", computed=_LAYER_TYPES | {"attention_bias"}, differences={"head_norms": True}
    ),
    "gemma": Family(
        name="Gemma",
        computed=frozenset({"attention_bias"}),
        fixed={**_CAUSAL, "hidden_activation": ("gelu_pytorch_tanh",)},  # transformers reads hidden_act
        differences=_GEMMA,
    ),
    "gemma2": Family(
        name="Gemma2",
        computed=frozenset({
            "attention_bias", "attn_logit_softcapping", "layer_types", "query_pre_attn_scalar", "sliding_window",
        }),
        inert=_GEMMA_INERT,
        fixed=_CAUSAL,
        differences={**_GEMMA, "post_norms": True},
        activation="hidden_activation",
    ),
    "gemma3_text": Family(
        name="Gemma3Text",
        computed=frozenset({
            "attention_bias", "layer_types", "query_pre_attn_scalar", "rope_local_base_freq", "sliding_window",
            "sliding_window_pattern", "_sliding_window_pattern",
        }),
        inert=_GEMMA_INERT,
        fixed=_CAUSAL,
        differences={**_GEMMA, "post_norms": True, "head_norms": True},
        activation="hidden_activation",
        rotary_by_layer_type=True,
    ),
}  # fmt: skip


def architecture_of(config: Any) -> Architecture:
    """Read the differences from a configuration of transformers, whose `model_type` is one of `FAMILIES`."""
    family = FAMILIES[config.model_type]
    window = getattr(config, "sliding_window", None)
    every = FULL if window is None else SLIDING
    windows = {FULL: family.full, SLIDING: CAUSAL if window is None else (window - 1, 0)}
    layer_types = tuple(getattr(config, "layer_types", None) or [every] * config.num_hidden_layers)
    scalar = getattr(config, "query_pre_attn_scalar", None)
    kind = AttentionKind(
        scale=None if scalar is None or scalar == config.head_dim else scalar**-0.5,
        softcap=config.attn_logit_softcapping if "attn_logit_softcapping" in family.computed else None,
    )
    biased: tuple[str, ...] = ("qkv", "out") if getattr(config, "attention_bias", False) else ()
    biased += ("gate_up", "down") if getattr(config, "mlp_bias", False) else ()
    differences = {"biased": biased, **family.differences}
    return Architecture(
        name=f"{family.name}ForSequenceClassification",
        layer_types=layer_types,
        attention={name: replace(kind, window=windows.get(name, family.full)) for name in set(layer_types)},
        activation=getattr(config, family.activation),
        temperature=getattr(config, "temperature", 1.0),
        **differences,
    )


def unfit_architecture(config: Any) -> str | None:
    """Say what a configuration of transformers has that no architecture here has; None if it has nothing else."""
    family, known = FAMILIES[config.model_type], architecture_of(config)
    if known.activation not in ACTIVATIONS:
        return f"its config.json sets {family.activation} to {known.activation}"
    if not (isinstance(known.temperature, int | float) and known.temperature > 0):
        return f"its config.json sets temperature to {known.temperature}"
    if other := sorted(set(known.layer_types) - {FULL, SLIDING}):
        return f"it has layers of {other[0]}"
    if SLIDING in known.attention and known.window is None:
        return "it has layers of sliding_attention and no sliding_window"
    return None
