"""Firkin: a container engine in Python that speaks Docker's API."""

__version__ = "0.1.0"
