"""HTTP for both ports: connections, heads, bodies, headers, access log and metrics."""
