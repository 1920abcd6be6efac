"""Fuzzing: whatever an image, a registry or a client sends, each parser keeps its one-sentence promise."""
