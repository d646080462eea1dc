"""Checkpoints on disk and at a hub: manifests, presets, adapters, base models, and their loading."""
