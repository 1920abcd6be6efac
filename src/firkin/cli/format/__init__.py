"""What is printed: sizes and times in words, tables, and `--format` (the useful part of Go's text/template)."""
