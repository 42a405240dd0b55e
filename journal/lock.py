"""One writer: a lock file beside the journal, locked by the system for as long as its holder lives.

Its content names the holder, so that the second server can say who is there and the CLI can find the first one.
"""

import os
from pathlib import Path
from typing import Self

import msgspec
from filelock import FileLock, Timeout

from exchange.journal.errors import JournalLockedError

_PATIENCE_SECONDS = 0.2  # whoever asks who holds a lock takes it for an instant


class LockOwner(msgspec.Struct, frozen=True):
    """Who holds a journal: a process id, and where it listens once it does."""

    pid: int
    url: str | None = None


class JournalLock:
    """The lock of the journal at `path`. A context manager; JournalLockedError names the holder where there is one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _lock_file(path)
        self._lock = FileLock(
            self._file,
            timeout=_PATIENCE_SECONDS,
            thread_local=False,
            preserve_lock_file=True,
            fallback_to_soft=False,
            on_acquired=self._name_holder,
        )

    def __enter__(self) -> Self:
        try:
            self._lock.acquire()
        except Timeout:
            raise JournalLockedError(
                f"{self._path} is in use by {_describe(_read(self._file))}: stop it first"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        os.truncate(self._file, 0)
        self._lock.release()

    def announce(self, url: str) -> None:
        """Say where the holder listens."""
        with self._file.open("r+b") as file:
            file.write(msgspec.json.encode(LockOwner(os.getpid(), url)))
            file.truncate()

    def _name_holder(self, descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(LockOwner(os.getpid())), 0)


def lock_owner(path: Path) -> LockOwner | None:
    """Who is writing to the journal at `path` now; None where nobody is."""
    file = _lock_file(path)
    if not file.exists():
        return None
    probe = FileLock(file, blocking=False, thread_local=False, preserve_lock_file=True, fallback_to_soft=False)
    try:
        probe.acquire()
    except Timeout:
        return _read(file) or LockOwner(0)
    except PermissionError:  # another user's: what it says is all there is to know
        return _read(file)
    probe.release()
    return None


def _lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _read(file: Path) -> LockOwner | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=LockOwner)
    except (OSError, msgspec.DecodeError):
        return None  # the holder is just writing it


def _describe(holder: LockOwner | None) -> str:
    if holder is None or not holder.pid:
        return "another process"
    return f"process {holder.pid}" + (f", listening on {holder.url}" if holder.url else "")
