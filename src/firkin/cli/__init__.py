"""The command line: flags in, HTTP requests to a socket, tables out. Never imports the engine.

Start-up time is a feature: `firkin run` must cost no more than Docker's compiled client. Modules on the way of `run`
and `exec` therefore import only `os`, `sys` and interpreter modules written in C (`_socket`, `_signal`, `select`,
`_json`), one command's module is imported on demand, and whatever is seldom needed is imported where it is used.
`tests/cli/test_startup.py` holds the list of modules a plain `run` may load.
"""
