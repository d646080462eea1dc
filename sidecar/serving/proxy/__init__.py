"""The OpenSearch port: routes, forwarding, and the handlers of _search and _msearch."""
