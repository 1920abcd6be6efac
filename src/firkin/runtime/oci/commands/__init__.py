"""One command a file: `FLAGS`, how many `ARGUMENTS` it takes, and `main(context) -> exit code`."""
