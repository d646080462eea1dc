"""Both ways to attend equal attention written out, segment by segment."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from sidecar.scoring.engines.packed.architectures import AttentionKind
from sidecar.scoring.engines.packed.attention import Buckets, Varlen, alike, kernel_options, varlen_kernel
from sidecar.scoring.engines.packed.layout import Part, Slot, key_rows, lay_out
from tests.support.models.devices import DEVICES
from tests.support.models.varlen import varlen_kernel as stand_in

HEADS, KV_HEADS, SIZE = 4, 2, 8
PLAIN = AttentionKind()
KINDS = [
    PLAIN,
    AttentionKind(window=(0, 0)),
    AttentionKind(window=(2, 0)),
    AttentionKind(window=(-1, -1)),
    AttentionKind(window=(2, 1)),
    AttentionKind(window=(3, 3)),
    AttentionKind(scale=0.7),
    AttentionKind(softcap=0.3),
    AttentionKind(window=(3, 0), scale=0.7, softcap=0.3),
]


def written_out(segments, query, key, value, kind=PLAIN):
    """One row after the other, without any library's idea of a mask."""
    outputs, row = [], 0
    for segment in segments:
        keys = key_rows([segment]).tolist()
        for behind in reversed(range(len(segment.rows))):
            own, (before, after) = len(keys) - 1 - behind, kind.window
            seen = keys[max(0, own - before) if before >= 0 else 0 : own + after + 1 if after >= 0 else None]
            k, v = (x[seen].repeat_interleave(HEADS // KV_HEADS, dim=1) for x in (key, value))
            products = torch.einsum("hd,khd->hk", query[row], k) * (kind.scale or SIZE**-0.5)
            if kind.softcap:
                products = kind.softcap * torch.tanh(products / kind.softcap)
            outputs.append(torch.einsum("hk,khd->hd", products.softmax(-1), v).flatten())
            row += 1
    return torch.stack(outputs)


@pytest.fixture(params=["segments", "pooled"])
def case(request):
    """Segments of a batch of two groups with prefixes and slots, with random heads."""
    groups = [[list(range(3 + 2 * n)) for n in (1, 9, 2, 9)], [[5, 6, 7, 8], [5, 9]], [[1]]]
    layout = lay_out([Part(groups[0], 2), Part(groups[1], 1), Part(groups[2], 0)], Slot(0, 20))
    segments = getattr(layout, request.param)
    generator = torch.Generator().manual_seed(5)

    def heads(rows, number):
        return torch.randn(rows, number, SIZE, generator=generator)

    rows = len(layout.ids)
    query = heads(sum(len(segment.rows) for segment in segments), HEADS)
    return segments, (query, heads(rows, KV_HEADS), heads(rows, KV_HEADS))


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_buckets_equal_attention_written_out(case, kind, device, alone):
    segments, heads = case
    attend = Buckets(segments, kind, device=torch.device(device), dtype=torch.float32, alone=alone)
    found = attend(*(x.to(device) for x in heads)).cpu()
    assert torch.allclose(found, written_out(segments, *heads, kind), atol=1e-6)


@pytest.mark.parametrize("window", sorted({kind.window for kind in KINDS}))
def test_the_kernel_is_given_what_attention_written_out_needs(case, window):
    segments, heads = case
    found = Varlen(partial(stand_in, window_size=window), segments, torch.device("cpu"))(*heads)
    assert torch.allclose(found, written_out(segments, *heads, AttentionKind(window=window)), atol=1e-6)


def test_no_bucket_pads_by_much_and_each_segment_is_in_one():
    pairs = [list(range(length)) for length in (30, 150, 149, 31, 60, 75, 100, 29)]
    segments = lay_out([Part(pairs, 0)]).segments
    buckets = alike(segments)
    assert sorted(index for bucket in buckets for index in bucket) == list(range(8))
    assert len(buckets) == 4
    assert all(min(segments[i].seen for i in bucket) >= 0.8 * segments[bucket[0]].seen for bucket in buckets)
    assert alike(segments, alone=True) == [[1], [2], [6], [5], [4], [3], [0], [7]]


def test_there_is_no_kernel_for_a_cpu_nor_for_float32():
    assert varlen_kernel(torch.device("cpu"), torch.bfloat16, PLAIN) is None
    assert varlen_kernel(torch.device("cuda"), torch.float32, PLAIN) is None


@pytest.mark.parametrize(
    ("known", "options"),
    [
        ({"is_causal"}, None),
        ({"window_size"}, {"window_size": (-1, 0)}),
        ({"window_size", "enable_gqa"}, {"window_size": (-1, 0), "enable_gqa": True}),
        (
            {"window_size", "enable_gqa", "num_splits", "scale"},
            {"window_size": (-1, 0), "enable_gqa": True, "num_splits": None},
        ),
    ],
)
def test_the_kernel_of_any_torch_is_asked_for_what_it_knows(known, options):
    assert kernel_options(known, PLAIN, invariant=False) == options


def test_the_kernel_is_asked_for_a_window_and_for_a_scale():
    known = {"window_size", "scale"}
    assert kernel_options(known, AttentionKind(window=(3, 0)), invariant=False) == {"window_size": (3, 0)}
    assert kernel_options(known, AttentionKind(scale=0.5), invariant=False) == {"window_size": (-1, 0), "scale": 0.5}


def test_there_is_no_kernel_for_a_softcap_nor_for_a_scale_that_it_does_not_take():
    assert kernel_options({"window_size", "scale"}, AttentionKind(softcap=50.0), invariant=False) is None
    assert kernel_options({"window_size"}, AttentionKind(scale=0.5), invariant=False) is None


def test_a_window_is_no_window_where_it_hides_nothing():
    kind = AttentionKind(window=(4, 0), scale=0.5)
    assert kind.within(5) == AttentionKind(scale=0.5)
    assert kind.within(6) is kind


def test_a_kernel_that_may_cut_keys_by_what_else_is_there_is_not_invariant():
    assert kernel_options({"window_size", "enable_gqa"}, PLAIN, invariant=True) is None
    assert kernel_options({"window_size", "num_splits"}, PLAIN, invariant=True) == {
        "window_size": (-1, 0),
        "num_splits": 1,
    }


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel is a GPU's")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.softcap is None])
def test_torchs_kernel_equals_attention_written_out(case, kind):
    segments, heads = case
    half = [x.to("cuda", torch.bfloat16) for x in heads]
    kernel = varlen_kernel(torch.device("cuda"), torch.bfloat16, kind)
    assert kernel is not None
    found = Varlen(kernel, segments, torch.device("cuda"))(*half).float().cpu()
    assert torch.allclose(found, written_out(segments, *(x.float().cpu() for x in half), kind), atol=2e-2)
