"""Reading a search response and returning it with its hits in another order; no I/O."""
