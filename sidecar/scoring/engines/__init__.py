"""Engines: token ids in, one number or one vector for each pair out; and the choice of the engine."""
