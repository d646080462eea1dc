"""A stand-in for torch's kernel of variable-length attention, which only a GPU has."""

from __future__ import annotations

import torch


def varlen_kernel(query, key, value, query_ends, key_ends, longest_query, longest_key, window_size=(-1, 0)):
    """Stand in for torch.nn.attention.varlen.varlen_attn, asked for a window and grouped heads."""
    found = []
    for q, q_end, k, k_end in zip(query_ends, query_ends[1:], key_ends, key_ends[1:], strict=False):
        assert q_end - q <= longest_query
        assert k_end - k <= longest_key
        rows, columns = torch.arange(q_end - q)[:, None], torch.arange(k_end - k)
        distance = columns - (rows + (k_end - k) - (q_end - q))
        before, after = (limit if limit >= 0 else len(key) for limit in window_size)
        mask = (distance >= -before) & (distance <= after)
        parts = (query[q:q_end], key[k:k_end], value[k:k_end])
        heads = (part.transpose(0, 1) for part in parts)
        attended = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=mask, enable_gqa=True)
        found.append(attended.transpose(0, 1))
    return torch.cat(found)
