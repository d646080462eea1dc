"""The scorer behind the service: its process, queue, protocol, cache and circuit breaker."""
