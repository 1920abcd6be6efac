"""One command a file, or one small family. A module's `COMMANDS` maps the catalog's key to the `Command`."""
