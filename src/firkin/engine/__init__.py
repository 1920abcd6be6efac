"""The life of containers: one verb a file, over one table of states."""
