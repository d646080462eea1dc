"""Search flows: which requests OpenSearch gets for one search, in which order, given its answers. No I/O."""
