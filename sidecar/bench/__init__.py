"""Competitors and ours in one process, on the same weights, token ids and machine; `sidecar bench` is its command."""
