"""HTTP as both ports speak it: connections, heads, bodies, headers, access log and metrics."""
