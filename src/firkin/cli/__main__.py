"""Entry point: put the source tree on the path by hand (`python -ISE` runs without `site`), then hand over."""

import sys
from posix import umask

_NO_OTHERS = 0o022

# Modules compiled on the way are kept for everybody who runs them. Where others could write to what is made, none are.
umask(mask := umask(_NO_OTHERS))
sys.dont_write_bytecode = mask & _NO_OTHERS != _NO_OTHERS

sys.path.insert(0, __file__.removesuffix("/firkin/cli/__main__.py"))

from firkin.cli.main import main  # noqa: E402 not before the lines above

main(sys.argv[1:])
