"""The rerank API: the shapes of Cohere, Jina, TEI, vLLM and NIM over one engine."""
