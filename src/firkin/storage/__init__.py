"""Bytes at rest: records, content, layers, snapshots and volumes."""
