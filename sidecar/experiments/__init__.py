"""Batch work: candidate files in, runs out, and what they are worth."""
