"""The start of a training: a base model, or an adapter that is trained further; and how well that ranks."""

from __future__ import annotations

import gc
import os

from sidecar.core.errors import ConfigurationError, ModelError
from sidecar.scoring import Scorer
from sidecar.scoring.checkpoints.lora_adapter import choose_base, is_adapter, read_config
from sidecar.scoring.loading import load_scorer, locate
from sidecar.training.development import Development
from sidecar.training.student import Base, find_base


def find_start(base_model: str | None, adapter: str | None, *, revision: str | None = None) -> Base:
    """Find the base model, and the adapter to continue from; the adapter names its base unless `base_model` does.

    `revision` is the base's. Raises ConfigurationError for neither of them and for an adapter that is a whole model,
    and what `find_base` raises.
    """
    if adapter is None:
        if base_model is None:
            raise ConfigurationError("the base model is missing.", remedy="Give one, such as --base-model e5-small.")
        return find_base(base_model, revision=revision)
    located = locate(adapter)
    if not is_adapter(located.directory):
        raise ConfigurationError(
            f"{adapter!r} is a whole model, not an adapter.",
            remedy=f"Train a new adapter on it: --base-model {adapter}",
        )
    config = read_config(located.directory)
    base = find_base(choose_base(config, base_model), revision=revision or config.get("revision"))
    return Base(base.name, base.located, base.revision, located)


def start_figure(base: Base, lists: Development, device: str) -> float | None:
    """Measure the model that a training starts from, as it is served; None if it has no trained score head.

    Only the first process of a distributed training measures.
    """
    if int(os.environ.get("RANK", "0")) != 0:
        return None
    scorer = _scorer(base, device)
    if scorer is None:
        return None
    figure = lists.measure(scorer)
    del scorer
    gc.collect()
    return figure


def _scorer(base: Base, device: str) -> Scorer | None:
    if base.adapter is not None:
        return load_scorer(base.adapter.name, base_model=_place(base), base_revision=base.revision, device=device)
    try:
        return load_scorer(_place(base), revision=base.revision, device=device)
    except ModelError:
        # A language model or an encoder without a head; what else is wrong with it, its training will say.
        return None


def _place(base: Base) -> str:
    """Return the name by which the base was given, which the hub or this machine knows."""
    return base.located.name
