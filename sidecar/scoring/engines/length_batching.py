"""Make batches from token counts: integers in, integers out. Knows neither texts nor tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidecar.core.errors import ConfigurationError


def plan_batches(lengths: Sequence[int], *, max_pairs: int, max_tokens: int) -> list[list[int]]:
    """Group the indices of `lengths` into batches of similar lengths, longest first.

    A batch holds at most `max_pairs` indices and, padded to its longest, at most `max_tokens` tokens; a single
    length beyond `max_tokens` gets its own batch. Longest first, so that memory runs out at once or never.
    Equal lengths keep their order, so the same input gives the same batches.
    """
    if max_pairs < 1 or max_tokens < 1:
        raise ConfigurationError(
            f"A batch of {max_pairs} pairs and {max_tokens} tokens can hold nothing.", remedy="Give at least 1 of each."
        )
    batches: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        full = not batches or len(batches[-1]) == max_pairs or (len(batches[-1]) + 1) * longest > max_tokens
        if full:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(index)
    return batches


def restore_order(batches: Iterable[Sequence[int]], values: Iterable[Sequence[float]]) -> list[float]:
    """Return values that were computed batch by batch in the order of their indices."""
    placed = {
        index: value
        for batch, row in zip(batches, values, strict=True)
        for index, value in zip(batch, row, strict=True)
    }
    return [placed[index] for index in range(len(placed))]
