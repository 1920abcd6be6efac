"""`inside` holds tests of the lane's machine: anywhere else there is nothing for them to run on."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("FIRKIN_VM") else ["inside"]
