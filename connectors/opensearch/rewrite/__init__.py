"""Rewriting a search request so that OpenSearch returns a whole window; no I/O."""
