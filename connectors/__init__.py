"""Connectors: one engine each, two verbs (`fetch` and `respond`), no torch and no model."""
