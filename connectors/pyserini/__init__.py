"""Lucene indexes, through Pyserini."""
