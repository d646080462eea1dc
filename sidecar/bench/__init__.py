"""Time competitors and our engines in one process, on the same weights, token ids and machine: `sidecar bench`."""
