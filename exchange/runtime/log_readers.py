"""Finds programs that hold the journal's write-ahead log open.

While a program reads the journal in one transaction, SQLite cannot begin the -wal anew, and the file grows with every
command. Each reader has a lock on one of five bytes of the -shm file. On Linux /proc/locks names the processes of all
locks; elsewhere the size of the -wal alone shows that there is a reader. The -shm is not opened here: closing it would
release the locks of this process.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.journal.file_header import log_path
from exchange.one_line import one_line

LOOK_SECONDS = 2.0
# A reader is named when it has been there at all looks for this time.
LONG_SECONDS = 60.0
# At full load the -wal has about 8 MiB. One that stays above this has a reader, even if no process is seen.
LOG_LARGE_BYTES = 64 * 1024 * 1024

_LOCKS = Path("/proc/locks")
# Of the -shm: the bytes that readers lock, and the one that each open connection locks (SQLite, walIndex lock format).
_READER_BYTES = range(123, 128)
_CONNECTION_BYTE = 128
# The reader whose process cannot be found.
UNKNOWN_PID = 0


class _ByteLock(NamedTuple):
    """One line of /proc/locks about the -shm."""

    pid: int
    device: str
    first: int
    last: int


class LogWatch:
    """Watches who reads the journal at `path`, and reports a program that does not end, once.

    `look` must be called every few seconds.
    """

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self._path = path
        self._report = report
        # The first of the consecutive looks at which each process was there.
        self._since: dict[int, float] = {}
        self._reported: set[int] = set()

    @property
    def oldest_seconds(self) -> float:
        """For how long the oldest reader has been there; 0 if there is none."""
        return max((time.monotonic() - since for since in list(self._since.values())), default=0.0)

    def look(self, now_seconds: float | None = None) -> None:
        """Look at the readers now. It reads one file, which can take milliseconds."""
        now_seconds = time.monotonic() if now_seconds is None else now_seconds
        pids = reader_pids(self._path)
        if not pids and size_of_log(self._path) > LOG_LARGE_BYTES:
            pids = {UNKNOWN_PID}
        self._since = {pid: self._since.get(pid, now_seconds) for pid in sorted(pids)}
        for pid in sorted(self._reported - pids):
            self._report(f"{_name_of(pid)} no longer holds {log_path(self._path)} open")
        self._reported &= pids
        for pid, since in self._since.items():
            if now_seconds - since >= LONG_SECONDS and pid not in self._reported:
                self._reported.add(pid)
                self._report(
                    f"{_name_of(pid)} has been reading the journal in one transaction for over {LONG_SECONDS:.0f} "
                    f"seconds: {log_path(self._path)} has {size_of_log(self._path):,} bytes and grows with every "
                    "command until that transaction ends. End it, or the program"
                )


def reader_pids(path: Path) -> set[int]:
    """The processes that read the journal at `path` now; empty if the system does not tell.

    This process must have the journal open: its own lock shows how the system names the file.
    """
    locks = list(_locks_of(path.with_name(path.name + "-shm")))
    own = {lock.device for lock in locks if lock.pid == os.getpid() and lock.first <= _CONNECTION_BYTE <= lock.last}
    return {
        lock.pid
        for lock in locks
        if lock.device in own and lock.first < _READER_BYTES.stop and lock.last >= _READER_BYTES.start
    }


def _locks_of(file: Path) -> Iterator[_ByteLock]:
    try:
        number = str(file.stat().st_ino)
        lines = _LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        # `7: POSIX  ADVISORY  READ 4711 08:02:9175 123 123`; a process that waits for a lock has `->` after the number.
        fields = line.split()
        if len(fields) != 8 or fields[1] != "POSIX":
            continue
        device, _, inode = fields[5].rpartition(":")
        if inode == number and fields[7] != "EOF":
            yield _ByteLock(int(fields[4]), device, int(fields[6]), int(fields[7]))


def _name_of(pid: int) -> str:
    if pid == UNKNOWN_PID:
        return "a program"
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({one_line(name)})"


def size_of_log(path: Path) -> int:
    """The size of the -wal of the journal at `path` in bytes; 0 if there is none."""
    try:
        return log_path(path).stat().st_size
    except FileNotFoundError:
        return 0
