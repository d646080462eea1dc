"""From judged queries to a reranker of one's own: data, teachers, losses, and the training itself.

`groups`, `reading`, `leaks`, `clicks`, `mining` and `teachers` know no torch; the rest is loaded when training begins.
"""
