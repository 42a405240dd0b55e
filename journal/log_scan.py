"""Reads the -wal of a journal as SQLite does, to see the transactions that SQLite would leave out without a word.

After a crash SQLite applies the -wal up to the first frame whose checksum is wrong, and ignores the rest. It cannot
know whether the rest was ever synced. The exchange syncs each transaction before the next one, so a loss of power can
break only the last one. If two or more transactions follow, the file was damaged, and commands were answered in them.

The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.journal.file_header import log_path

_HEADER_SIZE, _FRAME_HEADER_SIZE = 32, 24
# The last bit of the magic number says the byte order of the checksums.
_MAGIC = 0x377F0682
_VERSION = 3_007_000
_U32 = 0xFFFFFFFF
# The page size in the header of a database, two bytes; 1 stands for 65,536.
_PAGE_SIZE_AT = 16
_LARGEST_PAGE = 65_536

_Checksum = tuple[int, int]


class LogScan(NamedTuple):
    """The transactions in a -wal: `applied` ones, and `left_out` ones that follow the first broken frame.

    `broken_frame` is the number of that frame, from 1; 0 if the header is broken, None if nothing is.
    """

    applied: int = 0
    left_out: int = 0
    broken_frame: int | None = None


class _Frame(NamedTuple):
    page: int
    commit: int
    salts: bytes
    checksum: _Checksum
    # Page number and size of the database, which the checksum covers, and the page.
    start: bytes
    body: bytes


def scan_log(path: Path) -> LogScan:
    """Scan the -wal of the journal at `path`. No other process may write to it meanwhile. Raises OSError.

    Takes about 0.2 seconds for 4 MiB.
    """
    try:
        content = log_path(path).read_bytes()
    except FileNotFoundError:
        return LogScan()
    if not content:
        return LogScan()
    header = content[:_HEADER_SIZE]
    if len(header) < _HEADER_SIZE or (checksum := _checked_header(header)) is None:
        return _scan_without_header(path, content)
    order = ">" if header[3] & 1 else "<"
    frames = _frames(content, int.from_bytes(header[8:12]))
    salts = header[16:24]
    applied = 0
    for number, frame in enumerate(frames, 1):
        checksum = _checksum_of(frame, checksum, order)
        if frame.salts != salts or frame.checksum != checksum or not frame.page:
            return LogScan(applied, _left_out(frame, frames, salts, order), number)
        applied += bool(frame.commit)
    return LogScan(applied)


def _left_out(broken: _Frame, following: Iterator[_Frame], salts: bytes, order: str) -> int:
    """The number of transactions that end at the broken frame or after it."""
    rest = [frame for frame in following if frame.salts == salts]
    count = sum(bool(frame.commit) for frame in rest)
    # A broken frame of this log is one whose checksum the next frame continues. Otherwise it may be an old one.
    is_of_log = broken.salts == salts or (
        bool(rest) and rest[0].checksum == _checksum_of(rest[0], broken.checksum, order)
    )
    return count + (is_of_log and bool(broken.commit))


def _checksum_of(frame: _Frame, before: _Checksum, order: str) -> _Checksum:
    return _sum(_sum(before, frame.start, order), frame.body, order)


def _scan_without_header(path: Path, content: bytes) -> LogScan:
    """Without a header SQLite ignores the file. Nothing is left out if the database has all, as when it begins anew."""
    frames = list(_frames(content, _page_size_of(path)))
    salts = Counter(frame.salts for frame in frames if any(frame.salts)).most_common(1)
    of_log = [frame for frame in frames if salts and frame.salts == salts[0][0]]
    left_out = sum(bool(frame.commit) for frame in of_log)
    if left_out and _has_pages(path, {frame.page: frame.body for frame in of_log}):
        left_out = 0
    return LogScan(0, left_out, 0)


def _has_pages(path: Path, pages: dict[int, bytes]) -> bool:
    """True if the database has these pages as they are."""
    with path.open("rb") as file:
        for number, body in pages.items():
            file.seek((number - 1) * len(body))
            if file.read(len(body)) != body:
                return False
    return True


def _page_size_of(path: Path) -> int:
    with path.open("rb") as file:
        header = file.read(_PAGE_SIZE_AT + 2)
    size = int.from_bytes(header[_PAGE_SIZE_AT:])
    return _LARGEST_PAGE if size <= 1 else size


def _checked_header(header: bytes) -> _Checksum | None:
    """The checksum with which that of the first frame begins; None if SQLite does not accept the header."""
    magic, version, page_size, _, _, _, *checksum = struct.unpack(">8I", header)
    if magic & ~1 != _MAGIC or version != _VERSION or not _is_page_size(page_size):
        return None
    found = _sum((0, 0), header[:24], ">" if magic & 1 else "<")
    return found if found == tuple(checksum) else None


def _is_page_size(size: int) -> bool:
    return 512 <= size <= _LARGEST_PAGE and size & (size - 1) == 0


def _frames(content: bytes, page_size: int) -> Iterator[_Frame]:
    """The whole frames. A frame that is cut off was never committed, or its commit cannot be seen."""
    size = _FRAME_HEADER_SIZE + page_size
    for start in range(_HEADER_SIZE, len(content) - size + 1, size):
        head = content[start : start + _FRAME_HEADER_SIZE]
        page, commit, _, _, *checksum = struct.unpack(">6I", head)
        body = content[start + _FRAME_HEADER_SIZE : start + size]
        yield _Frame(page, commit, head[8:16], (checksum[0], checksum[1]), head[:8], body)


def _sum(before: _Checksum, data: bytes, order: str) -> _Checksum:
    """SQLite's checksum of `data`, which continues that of the bytes before it."""
    first, second = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & _U32
        second = (second + other + first) & _U32
    return first, second
