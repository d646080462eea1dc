"""Choose the engine for a checkpoint: the named one, or with `auto` the fastest that is exact there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.core.errors import ConfigurationError
from sidecar.scoring.checkpoints.architecture import pads_safely
from sidecar.scoring.checkpoints.encoder_model import EncoderModel
from sidecar.scoring.engines.names import ENGINES
from sidecar.scoring.engines.openvino_select import choose_precision
from sidecar.scoring.engines.packed_encoders.readable import packs_encoder
from sidecar.scoring.engines.padding import pad_id

if TYPE_CHECKING:
    from sidecar.core.model_spec import Compiling
    from sidecar.scoring.checkpoints.checkpoint import Checkpoint
    from sidecar.scoring.engines.base import Embedder, Engine


def choose_engine(  # noqa: PLR0913  independent options, by keyword
    checkpoint: Checkpoint,
    engine: str,
    *,
    batch_size: int,
    compile: Compiling = "never",  # noqa: A002  the name the card and torch use
    invariant: bool = False,
    reduced: bool = False,
) -> Engine:
    """Return the engine of a cross-encoder, which may have taken over the checkpoint's weights.

    `compile` is for the packed engine, whose steps are compiled; transformers' models are compiled before. With
    `invariant` a pair's score does not depend, to the last bit, on what else is scored with it: the packed engine has
    a mode for it, the others score one pair at a time, as they do with an architecture that is not known to pad safely.
    With `reduced` an engine may use float32 weights in bfloat16, if that is faster and hardly changes a score.
    Raises ConfigurationError for an engine that can't run this checkpoint here.
    """
    if _is_packed(checkpoint):
        return _packed_engine(checkpoint, batch_size, compile, invariant=invariant)
    batch_size = batch_size if pads_safely(checkpoint.model) and not invariant else 1
    if engine in ("auto", "openvino") and (precision := choose_precision(checkpoint, engine, reduced=reduced)):
        from sidecar.scoring.engines.openvino import OpenVinoEngine

        openvino_engine = OpenVinoEngine(checkpoint, precision=precision, batch_size=batch_size)
        _give_up_weights(checkpoint)
        return openvino_engine
    if packs_encoder(checkpoint, engine):
        from sidecar.scoring.engines.packed_encoders.engine import PackedEncoder

        packed_encoder = PackedEncoder(checkpoint, batch_size=batch_size)
        _give_up_weights(checkpoint)
        return packed_encoder
    if engine in ("auto", "transformers", "card"):
        from sidecar.scoring.engines.transformers import PaddedEngine

        return PaddedEngine(checkpoint, batch_size=batch_size, by_length=engine != "card")
    raise unknown(engine)


def _is_packed(checkpoint: Checkpoint) -> bool:
    """True if only the packed engine can use the model."""
    if isinstance(checkpoint.model, EncoderModel):
        return False  # it may be there without torch
    from sidecar.scoring.engines.packed.weights import Decoder

    return isinstance(checkpoint.model, Decoder)


def _packed_engine(
    checkpoint: Checkpoint,
    max_pairs: int,
    compile: Compiling,  # noqa: A002  the name the card and torch use
    *,
    invariant: bool,
) -> Engine:
    from sidecar.scoring.engines.packed.engine import PackedEngine

    eos = pad_id(checkpoint.tokenizer, decoder=True)
    return PackedEngine(
        checkpoint.model, checkpoint.manifest, eos=eos, max_pairs=max_pairs, compile=compile, invariant=invariant
    )


def choose_embedder(
    checkpoint: Checkpoint, engine: str, *, batch_size: int, invariant: bool = False, reduced: bool = False
) -> Embedder:
    """Return the engine of a bi-encoder; `invariant`, `reduced` and the errors are those of `choose_engine`."""
    batch_size = 1 if invariant else batch_size
    if engine in ("auto", "openvino") and (precision := choose_precision(checkpoint, engine, reduced=reduced)):
        from sidecar.scoring.engines.openvino import OpenVinoEmbedder

        openvino_embedder = OpenVinoEmbedder(checkpoint, precision=precision, batch_size=batch_size)
        _give_up_weights(checkpoint)
        return openvino_embedder
    if packs_encoder(checkpoint, engine):
        from sidecar.scoring.engines.packed_encoders.engine import PackedEmbedder

        packed_embedder = PackedEmbedder(checkpoint, batch_size=batch_size)
        _give_up_weights(checkpoint)
        return packed_embedder
    if engine in ("auto", "transformers", "card"):
        from sidecar.scoring.engines.transformers import PaddedEmbedder

        return PaddedEmbedder(checkpoint, batch_size=batch_size)
    raise unknown(engine)


def _give_up_weights(checkpoint: Checkpoint) -> None:
    """Free the weights that an engine has copied; shapes and configuration stay."""
    if isinstance(checkpoint.model, EncoderModel):
        checkpoint.model.tensors.clear()
    else:
        checkpoint.model.to("meta")


def unknown(engine: str) -> ConfigurationError:
    """Make the error for an unknown engine."""
    return ConfigurationError(f"There is no engine {engine!r}.", remedy=f"Use {', '.join(ENGINES)}.")
