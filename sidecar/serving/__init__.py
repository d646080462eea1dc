"""The service: two HTTP faces over one scorer, which lives in a process of its own."""
