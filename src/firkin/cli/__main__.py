"""Entry point: put the source tree on the path by hand (`python -ISE` runs without `site`), then hand over."""

import sys

sys.path.insert(0, __file__.removesuffix("/firkin/cli/__main__.py"))

from firkin.cli.main import main

main(sys.argv[1:])
