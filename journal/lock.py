"""The lock that admits one writer: a file next to the journal, locked by the operating system while its owner lives.

The file names the owner, so that a second server can report it and the command line can find the first one. It also has
the seq of the last command that was recorded. A start compares it with the journal, and so notices a lost -wal.
"""

import contextlib
import errno
import logging
import os
import zlib
from pathlib import Path
from typing import Self

import msgspec
from filelock import FileLock, Timeout

from exchange.journal.errors import JournalLockedError, JournalUnwritableError

# `lock_owner` holds the lock for an instant when it asks for the owner; a start must wait longer than that.
_PATIENCE_SECONDS = 0.2
# How the content begins. The number has a constant width, so that the owner replaces it without the rest.
_SEQ = b'{"seq":%20d,"checksum":%10d,'
_SIZE_MAX = 4_096

_log = logging.getLogger(__name__)


class LockOwner(msgspec.Struct, frozen=True):
    """The process that has locked a journal, and its URL once it listens."""

    pid: int
    url: str | None = None


class _Content(msgspec.Struct, frozen=True):
    """The content of the file. Files of earlier versions have no seq. Without an owner the pid is 0."""

    seq: int = 0
    checksum: int | None = None
    pid: int = 0
    url: str | None = None


class JournalLock:
    """The lock of the journal at `path`, as a context manager.

    Entering it raises JournalLockedError, which names the owner, if another process has the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = lock_file(path)
        self._descriptor = -1
        self._seq = 0
        self._owner = LockOwner(0)
        self._lock = self._new_lock()

    def __enter__(self) -> Self:
        self._acquire(self._lock)
        return self

    def _acquire(self, lock: FileLock) -> None:
        try:
            lock.acquire()
        except Timeout:
            raise JournalLockedError(
                f"{self._path} is in use by {_describe(_read(self._file))}: stop it first"
            ) from None
        except OSError as error:
            raise JournalUnwritableError(
                f"{self._file} cannot be written ({error.strerror}): the exchange writes next to its journal. Check "
                "the rights of the folder and of the file system, or choose another folder"
            ) from error

    def __exit__(self, *_: object) -> None:
        self._write(LockOwner(0))
        self._lock.release()

    def renew(self) -> None:
        """Make the file again if it was deleted or replaced. Raises JournalLockedError if another process did so."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._file), os.fstat(self._descriptor)):
                return
        _log.warning("%s was deleted or replaced while the exchange runs: it is made again", self._file)
        seq, owner = self._seq, self._owner
        new = self._new_lock()
        self._acquire(new)
        # The old lock is held until the new one is.
        self._lock.release(force=True)
        self._lock = new
        self._seq = max(seq, self._seq)
        self._write(owner)

    def announce(self, url: str) -> None:
        """Write the URL at which the owner listens into the file."""
        self._write(LockOwner(os.getpid(), url))

    def note(self, seq: int) -> None:
        """Write the seq of the last command that is on disk into the file, without a sync."""
        self._seq = seq
        # The journal has the command. If the disk of the lock file fails, the journal finds out itself.
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, _numbers(seq), 0)

    def _new_lock(self) -> FileLock:
        return FileLock(
            self._file,
            timeout=_PATIENCE_SECONDS,
            thread_local=False,
            preserve_lock_file=True,
            fallback_to_soft=False,
            on_acquired=self._write_owner,
        )

    def _write_owner(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seq = _decoded(os.pread(descriptor, _SIZE_MAX, 0)).seq
        self._write(LockOwner(os.getpid()))

    def _write(self, owner: LockOwner) -> None:
        self._owner = owner
        content = b"" if not owner.pid and not self._seq else _numbers(self._seq) + msgspec.json.encode(owner)[1:]
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))


def is_locked(path: Path) -> bool:
    """True if another process may be writing to the journal at `path`. Without the right to find out, it may be."""
    try:
        return lock_owner(path) is not None
    except OSError:
        return True


def is_lock_file_damaged(path: Path) -> bool:
    """True if the lock file of the journal at `path` is there, and has other content than was written."""
    try:
        return _checked(lock_file(path).read_bytes()) is None
    except OSError:
        return False


def recorded_seq(path: Path) -> int:
    """The seq of the last command that the lock file of the journal at `path` knows; 0 if it knows none."""
    try:
        return _decoded(lock_file(path).read_bytes()).seq
    except OSError:
        return 0


def lock_owner(path: Path) -> LockOwner | None:
    """The process that is writing to the journal at `path`; None if there is none."""
    file = lock_file(path)
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
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        # Nobody writes to a journal on a file system that is read only.
        return None
    probe.release()
    return None


def lock_file(path: Path) -> Path:
    """The lock file of the journal at `path`."""
    return path.with_name(path.name + ".lock")


def _read(file: Path) -> LockOwner | None:
    """The owner that the file names; None while the owner is writing it."""
    try:
        content = _decoded(file.read_bytes())
    except OSError:
        return None
    return LockOwner(content.pid, content.url) if content.pid else None


def _numbers(seq: int) -> bytes:
    return _SEQ % (seq, zlib.crc32(b"%d" % seq))


def _decoded(content: bytes) -> _Content:
    """The content of the file; an empty one if it is damaged."""
    return _checked(content) or _Content()


def _checked(content: bytes) -> _Content | None:
    """The content of the file; None if it is damaged. A file of an earlier version may be empty, without an owner."""
    try:
        found = msgspec.json.decode(content, type=_Content) if content else _Content()
    except msgspec.DecodeError:
        return None
    is_right = found.checksum is None or found.checksum == zlib.crc32(b"%d" % found.seq)
    return found if is_right else None


def _describe(owner: LockOwner | None) -> str:
    if owner is None or not owner.pid:
        return "another process"
    return f"process {owner.pid}" + (f", listening on {owner.url}" if owner.url else "")
