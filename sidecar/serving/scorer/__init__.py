"""The scorer of the service: its process, queue, protocol, cache and circuit breaker."""
