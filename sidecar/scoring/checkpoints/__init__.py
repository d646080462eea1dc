"""Checkpoints on disk and at a hub: manifests, presets, adapters, base models, and what can be read without torch."""
