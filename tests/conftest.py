"""For every test: programs that tests start find the package, as the tests themselves do."""

import os
from pathlib import Path

os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent / "src")
