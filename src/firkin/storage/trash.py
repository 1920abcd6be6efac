"""Delete directories in the background.

Invariant: what is discarded is gone for everybody at once, because it is renamed first; a crash leaves the rest of the work
to the next start.
"""

from __future__ import annotations

import os
import secrets
import threading
from queue import SimpleQueue

from firkin.storage.removal import remove_tree


class Trash:
    """Removes directories that lie in `directory`."""

    _PREFIX = "removing-"

    def __init__(self, directory: str, stale: tuple[str, ...] = ()) -> None:
        """Also removes what an earlier run left in `directory`: its own leavings and names that begin with one of `stale`."""
        self._directory = directory
        self._queue: SimpleQueue[str] = SimpleQueue()
        self._thread: threading.Thread | None = None
        for name in os.listdir(directory):
            if name.startswith((self._PREFIX, *stale)):
                self.discard(os.path.join(directory, name))

    def owns(self, name: str) -> bool:
        """Whether `name` is something on its way out."""
        return name.startswith(self._PREFIX)

    def discard(self, path: str) -> None:
        """Make the directory `path` (in the same file system) vanish. Raises OSError if it is not there."""
        doomed = os.path.join(self._directory, self._PREFIX + secrets.token_hex(8))
        os.rename(path, doomed)
        self._queue.put(doomed)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="trash", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            try:
                remove_tree(self._queue.get())
            except OSError:  # a mount still in it, say: the next start tries again
                continue
