"""Attention over segments of packed rows: torch's variable-length kernel, or plain attention in buckets.

Either is planned once for a batch and then called for each layer. No mask covers the whole batch.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from sidecar.scoring.engines.packed.architectures import CAUSAL, AttentionKind, Window
from sidecar.scoring.engines.packed.layout import Segment, cu_seqlens, key_rows
from sidecar.scoring.engines.packed.transfer import send

# Maps queries (R x H x D, the segments' rows in order), keys and values (T x G x D) to R x H · D.
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# The smallest ratio of a bucket's shortest segment to its longest: below it, padding costs more than another call.
ALIKE = 0.8


def plan_attention(
    segments: Sequence[Segment],
    kind: AttentionKind,
    *,
    device: torch.device,
    dtype: torch.dtype,
    invariant: bool = False,
) -> Attend:
    """Plan for a device and a dtype. `invariant`: a segment's result does not depend on the other segments."""
    if not invariant:  # which kernel computes a segment would depend on the longest one
        kind = kind.within(max(segment.seen for segment in segments))
    kernel = varlen_kernel(device, dtype, kind, invariant=invariant)
    if kernel is not None:
        return Varlen(kernel, segments, device)
    return Buckets(segments, kind, device=device, dtype=dtype, alone=invariant)


def varlen_kernel(
    device: torch.device, dtype: torch.dtype, kind: AttentionKind, *, invariant: bool = False
) -> Callable[..., Any] | None:
    """Return torch's variable-length attention, if this torch, the GPU (Ampere or later) and the dtype have it."""
    if device.type != "cuda" or dtype == torch.float32 or torch.cuda.get_device_capability(device) < (8, 0):
        return None
    try:
        kernel: Callable[..., Any] = importlib.import_module("torch.nn.attention.varlen").varlen_attn
    except ImportError:
        return None
    options = kernel_options(inspect.signature(kernel).parameters.keys(), kind, invariant=invariant)
    return None if options is None else functools.partial(kernel, **options)


def kernel_options(known: Collection[str], kind: AttentionKind, *, invariant: bool) -> dict[str, Any] | None:
    """Return the options of torch's kernel for grouped heads; None if it does not support them.

    Its arguments, `known`, differ between releases: 2.11 groups heads without an option, and only a later one has an
    option that keeps the splits of a segment's keys independent of the rest of the batch. None has a softcap.
    """
    needed: dict[str, Any] = {"window_size": kind.window}
    if kind.scale is not None:
        needed["scale"] = kind.scale
    if invariant:
        needed["num_splits"] = 1
    if kind.softcap is not None or not needed.keys() <= set(known):
        return None
    optional: dict[str, Any] = {"enable_gqa": True, "num_splits": None}
    return {name: value for name, value in optional.items() if name in known} | needed


class Varlen:
    """Flash attention over segments. Its window is aligned to each segment's last row, as `Segment` is."""

    def __init__(self, kernel: Callable[..., Any], segments: Sequence[Segment], device: torch.device) -> None:
        queries, keys = [len(segment.rows) for segment in segments], [segment.seen for segment in segments]
        self._kernel = kernel
        rows = key_rows(segments)
        # Without shared prefixes the keys are the rows themselves, which need no copy.
        self._keys = None if np.array_equal(rows, np.arange(len(rows))) else send(rows, device)
        self._query_ends = send(cu_seqlens(queries), device, np.int32)
        self._key_ends = send(cu_seqlens(keys), device, np.int32)
        self._longest = max(queries), max(keys)

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attend with the kernel."""
        if self._keys is not None:
            key, value = key.index_select(0, self._keys), value.index_select(0, self._keys)
        attended: torch.Tensor = self._kernel(query, key, value, self._query_ends, self._key_ends, *self._longest)
        return attended.flatten(1)


class Buckets:
    """Plain attention over buckets of segments of similar size, padded to the longest; `alone`: one segment in each."""

    def __init__(
        self,
        segments: Sequence[Segment],
        kind: AttentionKind,
        *,
        device: torch.device,
        dtype: torch.dtype,
        alone: bool = False,
    ) -> None:
        starts = cu_seqlens([len(segment.rows) for segment in segments])
        self._buckets = []
        place, home = 0, [0] * starts[-1]
        for bucket in alike(segments, alone=alone):
            widest = max(len(segments[index].rows) for index in bucket)
            own, begins = [segments[i] for i in bucket], [starts[i] for i in bucket]
            self._buckets.append(_Bucket(own, begins, kind, device=device, dtype=dtype))
            for index in bucket:
                stop = starts[index] + len(segments[index].rows)
                home[starts[index] : stop] = range(place, place + stop - starts[index])
                place += widest
        self._home = send(home, device)

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attend bucket by bucket."""
        attended = [bucket(query, key, value) for bucket in self._buckets]
        return torch.cat(attended).index_select(0, self._home)


class _Bucket:
    def __init__(
        self,
        segments: Sequence[Segment],
        starts: Sequence[int],
        kind: AttentionKind,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        queries = torch.tensor([len(segment.rows) for segment in segments])
        keys = torch.tensor([segment.seen for segment in segments])
        rows, columns = torch.arange(int(queries.max())), torch.arange(int(keys.max()))
        # A short segment is padded with its last row: this is never NaN, and its results are not used.
        self._queries = (torch.tensor(starts)[:, None] + rows.minimum(queries[:, None] - 1)).to(device)
        flat, first = torch.from_numpy(key_rows(segments)), torch.tensor(cu_seqlens(keys.tolist())[:-1])
        self._keys = flat[first[:, None] + columns.minimum(keys[:, None] - 1)].to(device)
        self._kind, self._mask = kind, None
        hidden = hidden_keys(queries, keys, kind.window)
        if bool(hidden.any()):  # plain attention is faster without a mask
            self._mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill(hidden, float("-inf")).to(device)

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        query = query[self._queries].transpose(1, 2)
        key, value = (part[self._keys].transpose(1, 2) for part in (key, value))
        if self._kind.softcap is not None:
            attended = capped_attention(query, key, value, self._mask, self._kind.softcap, self._kind.scale)
        else:
            attended = scaled_dot_product_attention(
                query, key, value, attn_mask=self._mask, enable_gqa=True, scale=self._kind.scale
            )
        return attended.transpose(1, 2).flatten(0, 1).flatten(1)


def hidden_keys(queries: torch.Tensor, keys: torch.Tensor, window: Window) -> torch.Tensor:
    """Return which keys are hidden from which rows: 1 or B x 1 x longest query x longest key, for B segments.

    `queries` and `keys` (B) are their lengths.
    """
    before, after = window
    rows, columns = torch.arange(int(queries.max())), torch.arange(int(keys.max()))
    ahead = keys - queries
    # Without a window before, the rows of padding may see more, and one mask serves all segments of a shared prefix.
    if bool((ahead == ahead[0]).all()) and (window == CAUSAL or bool((keys == keys[0]).all())):
        ahead, keys = ahead[:1], keys[:1]
    own = ahead[:, None] + rows  # the key that a row is itself
    if window != CAUSAL:
        own = own.minimum(keys[:, None] - 1)
    own, keys = own[:, None, :, None], keys[:, None, None, None]
    hidden = columns >= keys if after else columns > own
    if after > 0:
        hidden = hidden | (columns > own + after)
    if before >= 0:
        hidden = hidden | (columns < own - before)
    return hidden


def capped_attention(  # noqa: PLR0913, PLR0917  as torch's function has them
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    softcap: float,
    scale: float | None,
) -> torch.Tensor:
    """Attend with a softcap, which torch's functions do not have; rounding is as in transformers.

    Shapes: query B x H x Q x D, key and value B x G x K x D, mask (added) 1 or B x 1 x Q x K. Returns query's shape.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    # The query heads of a key head are rows of one product, so that keys are not copied for each of them.
    grouped = torch.unflatten(query, 1, (key.shape[1], -1))
    products = torch.unflatten(grouped.flatten(2, 3) @ key.transpose(-1, -2), 2, grouped.shape[2:4])
    capped = products.mul_(scale).div_(softcap).tanh_().mul_(softcap)
    if mask is not None:
        capped = capped.add_(mask.unsqueeze(2))
    weights = torch.softmax(capped, dim=-1, dtype=torch.float32).to(query.dtype)
    return torch.unflatten(weights.flatten(2, 3) @ value, 2, grouped.shape[2:4]).flatten(1, 2)


def alike(segments: Sequence[Segment], *, alone: bool = False) -> list[list[int]]:
    """Group the indices of segments into buckets of similar sizes, the longest first; `alone`: one in each."""
    sizes = [(len(segment.rows), segment.seen) for segment in segments]
    buckets: list[list[int]] = []
    rows = keys = 0.0
    for index in sorted(range(len(sizes)), key=lambda i: (-sizes[i][0], -sizes[i][1])):
        if alone or not buckets or sizes[index][0] < rows or sizes[index][1] < keys:
            buckets.append([])
            rows, keys = ALIKE * sizes[index][0], ALIKE * sizes[index][1]
        buckets[-1].append(index)
    return buckets
