"""Snapshots off the hot path: a process of its own recovers from the journal as a start would, and saves the result.

The exchange itself never pauses for a snapshot, however large its state is.
"""

import asyncio
import logging
import sys
from pathlib import Path

from exchange.runtime.recovery import recover
from exchange.runtime.settings import SNAPSHOTS_KEPT
from exchange.runtime.workers import begin_as_worker, worker
from snapshots.store import Snapshot, SnapshotStore

_log = logging.getLogger(__name__)


class Snapshotter:
    """Has a snapshot made whenever `every` commands have been recorded since the last one (0: never)."""

    def __init__(self, path: Path, every: int, seq: int) -> None:
        self._path = path
        self._every = every
        self._last_seq = seq
        self._task: asyncio.Task[None] | None = None

    def consider(self, seq: int) -> None:
        """Hear that the journal is at `seq`, and start where it is time and none is being made."""
        if self._every and seq - self._last_seq >= self._every and (self._task is None or self._task.done()):
            self._last_seq = seq
            self._task = asyncio.get_running_loop().create_task(self._make())

    async def stop(self) -> None:
        """End what is under way; a snapshot half made leaves nothing behind."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _make(self) -> None:
        try:
            async with worker(__name__, str(self._path)) as process:
                code = await process.wait()
        except OSError as error:
            _log.warning("no snapshot was made: %s", error)
            return
        if code:
            _log.warning("no snapshot was made: the process that makes them ended with code %d", code)


def save(path: Path, snapshot: Snapshot) -> None:
    """Save a snapshot of the journal at `path`, and delete old ones."""
    store = SnapshotStore(path)
    store.save(snapshot)
    store.prune(SNAPSHOTS_KEPT)


def main() -> None:
    """The process that makes one snapshot, of the journal that its argument names."""
    begin_as_worker()
    path = Path(sys.argv[1])
    recovered = recover(path, _log.info, lambda done, total: None)
    save(path, recovered.core.snapshot())


if __name__ == "__main__":
    main()
