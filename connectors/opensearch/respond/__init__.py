"""Reading a search response, and writing it with its hits in another order. No I/O."""
