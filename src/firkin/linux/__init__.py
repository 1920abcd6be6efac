"""Kernel primitives: one facility a file, synchronous, standard library only, no policy."""
