"""The lock that admits one writer: a file next to the journal, locked by the operating system while its owner lives.

The file names the owner, so that a second server can report it and the command line can find the first one.
"""

import os
from pathlib import Path
from typing import Self

import msgspec
from filelock import FileLock, Timeout

from exchange.journal.errors import JournalLockedError

# `lock_owner` holds the lock for an instant when it asks for the owner; a start must wait longer than that.
_PATIENCE_SECONDS = 0.2


class LockOwner(msgspec.Struct, frozen=True):
    """The process that has locked a journal, and its URL once it listens."""

    pid: int
    url: str | None = None


class JournalLock:
    """The lock of the journal at `path`, as a context manager.

    Entering it raises JournalLockedError, which names the owner, if another process has the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _lock_file(path)
        self._lock = FileLock(
            self._file,
            timeout=_PATIENCE_SECONDS,
            thread_local=False,
            preserve_lock_file=True,
            fallback_to_soft=False,
            on_acquired=self._write_owner,
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
        """Write the URL at which the owner listens into the file."""
        with self._file.open("r+b") as file:
            file.write(msgspec.json.encode(LockOwner(os.getpid(), url)))
            file.truncate()

    def _write_owner(self, descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(LockOwner(os.getpid())), 0)


def lock_owner(path: Path) -> LockOwner | None:
    """The process that is writing to the journal at `path`; None if there is none."""
    file = _lock_file(path)
    if not file.exists():
        return None
    probe = FileLock(file, blocking=False, thread_local=False, preserve_lock_file=True, fallback_to_soft=False)
    try:
        probe.acquire()
    except Timeout:
        return _read(file) or LockOwner(0)
    except PermissionError:
        # The file belongs to another user. It cannot be locked, only read.
        return _read(file)
    probe.release()
    return None


def _lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _read(file: Path) -> LockOwner | None:
    """The owner that the file names; None while the owner is writing it."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=LockOwner)
    except (OSError, msgspec.DecodeError):
        return None


def _describe(owner: LockOwner | None) -> str:
    if owner is None or not owner.pid:
        return "another process"
    return f"process {owner.pid}" + (f", listening on {owner.url}" if owner.url else "")
