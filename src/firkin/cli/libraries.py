"""The virtual environment's packages, which the client does not need until it shows progress or becomes the daemon."""

from __future__ import annotations

import os
import sys


def add_site_packages() -> None:
    """Put them on the path, as `site` would have (the client runs without it, to start faster)."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    # Without `site`, sys.prefix is that of the interpreter the environment was made from.
    environment = os.path.dirname(os.path.dirname(sys.executable))
    directory = os.path.join(environment, "lib", version, "site-packages")
    if directory not in sys.path:
        sys.path.append(directory)
