"""The page at /ui of the API port, and the comparison of first stage and reranking that it shows."""
