"""Batch work: from candidate files to runs, and the evaluation of runs."""
