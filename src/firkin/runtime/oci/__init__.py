"""The runtime's own command line, `firkin-oci`: runc's commands and flags over the same plans and steps as the engine's.

No daemon: what is known of a container lies in its directory below `--root`. The path of `create` and `run` imports next to
nothing (decision 13), for the interpreter's start is a third of a container's.
"""
