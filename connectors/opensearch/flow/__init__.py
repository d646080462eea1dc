"""Which requests OpenSearch gets for one search, in which order, given its answers; no I/O."""
