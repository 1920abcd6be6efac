"""Bytes in motion: registries, archives and the host's own programs, turned into images and back."""
