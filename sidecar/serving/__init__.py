"""The service: two HTTP ports over one scorer, which runs in its own process."""
