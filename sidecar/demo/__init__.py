"""What `sidecar demo` shows: the embedded corpus, and the questions asked of it."""
