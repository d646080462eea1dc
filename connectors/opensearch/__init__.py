"""OpenSearch, through opensearch-py."""
