"""Scorers behind a URL: another sidecar, TEI, vLLM, Infinity, NIM, Cohere, Jina, Voyage. Loads no torch."""
