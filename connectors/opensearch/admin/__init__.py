"""Changing and examining a cluster: bulk loading, search pipelines, mappings, permissions."""
