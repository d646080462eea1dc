"""Train a reranker on judged queries: data, teachers, losses, and the training itself.

`groups`, `reading`, `contamination`, `clicks`, `mining` and `teachers` know no torch; the rest is loaded when training
begins.
"""
