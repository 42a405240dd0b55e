"""Reads text from outside, from files and standard input: lines in UTF-8, or one error that names file and line."""

import codecs
import gzip
import sys
import tomllib
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import msgspec

STANDARD_INPUT = Path("-")
# The longest command has at most 64 KiB, the limit of a frame. The rest is room for its envelope and for rules.
LINE_BYTES_MAX = 1024 * 1024
# Rules and queries are read as a whole.
TEXT_BYTES_MAX = 16 * LINE_BYTES_MAX
# An export compresses to an eighth. A small file that grows without end would fill the memory.
RATIO_MAX = 50
RATIO_FROM_BYTES = 64 * LINE_BYTES_MAX

# How files begin that are no text in UTF-8, and the next step. UTF-32 comes first, because it begins as UTF-16 does.
_SIGNATURES = (
    (b"SQLite format 3\0", "the file is an SQLite database", "name a text file"),
    (b"PK\x03\x04", "the file is a zip archive or a spreadsheet", "save it as plain text"),
    (codecs.BOM_UTF32_LE, "the file is UTF-32", "convert it with `iconv -f UTF-32 -t UTF-8`"),
    (codecs.BOM_UTF16_LE, "the file is UTF-16", "convert it with `iconv -f UTF-16 -t UTF-8`"),
    (codecs.BOM_UTF16_BE, "the file is UTF-16", "convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"\x1f\x8b", "the file is compressed with gzip", "give it a name that ends with .gz, or decompress it"),
)


class InputError(Exception):
    """A file or standard input is no text that a command can read. The message names it, the line and the next step."""


def source_name(source: Path) -> str:
    """The name of a source of text for messages."""
    return "standard input" if source == STANDARD_INPUT else str(source)


@contextmanager
def opened_lines(source: Path) -> Iterator[Iterator[str]]:
    """Open a source of UTF-8 text and return its lines, one by one, with their ends; `-` is standard input.

    A byte order mark at the beginning is dropped. A file whose name ends with .gz is decompressed. Memory is bounded:
    no line is longer than LINE_BYTES_MAX. Raises InputError here and at the first line that cannot be read, also if the
    file decompresses to much more than a text does.
    """
    name = source_name(source)
    with ExitStack() as opened:
        file = _opened(source, name)
        if source == STANDARD_INPUT:
            yield _lines(file, name)
            return
        opened.enter_context(file)
        if source.suffix != ".gz":
            yield _lines(file, name)
            return
        decompressed = cast(IO[bytes], opened.enter_context(gzip.GzipFile(fileobj=file)))
        yield _refusing_bombs(_lines(decompressed, name), file, name)


def read_text(file: Path) -> str:
    """Read a whole text file, as `opened_lines` does, of at most TEXT_BYTES_MAX. Raises InputError."""
    text: list[str] = []
    size = 0
    with opened_lines(file) as lines:
        for number, line in enumerate(lines, 1):
            text.append(line)
            size += len(line)
            if size > TEXT_BYTES_MAX:
                raise InputError(
                    f"{source_name(file)}, line {number}: the file is longer than {TEXT_BYTES_MAX:,} characters: "
                    "name another file"
                )
    return "".join(text)


def _opened(source: Path, name: str) -> IO[bytes]:
    if source == STANDARD_INPUT:
        # Python has no standard input if the process was started with a closed one.
        if sys.stdin is None:
            raise InputError("standard input is closed: write the text to it, or name a file")
        return sys.stdin.buffer
    try:
        return source.open("rb")
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from error


def _refusing_bombs(lines: Iterator[str], compressed: IO[bytes], name: str) -> Iterator[str]:
    """The lines of a compressed file. Raises InputError if it decompresses to more than RATIO_MAX times its size."""
    read = 0
    for number, line in enumerate(lines, 1):
        read += len(line)
        if read > RATIO_FROM_BYTES and read > RATIO_MAX * compressed.tell():
            raise InputError(
                f"{name}, line {number}: the file decompresses to more than {RATIO_MAX} times its size, as no export "
                "does: if it comes from a source that you trust, decompress it with `gunzip` first"
            )
        yield line


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    number = 0
    while line := _next_line(file, f"{name}, line {number + 1}"):
        number += 1
        if number == 1:
            _refuse_other_formats(line, f"{name}, line 1")
            line = line.removeprefix(codecs.BOM_UTF8)
        yield _decoded(line, f"{name}, line {number}")


def _next_line(file: IO[bytes], where: str) -> bytes:
    try:
        return file.readline(LINE_BYTES_MAX + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{where}: the file is not a valid .gz file ({error}): it is cut off, damaged or not compressed"
        ) from error
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror or error}") from error


def _refuse_other_formats(line: bytes, where: str) -> None:
    for beginning, problem, step in _SIGNATURES:
        if line.startswith(beginning):
            raise InputError(f"{where}: {problem}; expected text in UTF-8: {step}")


def _decoded(line: bytes, where: str) -> str:
    if b"\0" in line:
        raise InputError(
            f"{where}: byte {line.index(0) + 1} is NUL; expected text in UTF-8: the file is damaged, binary, or UTF-16 "
            "without a byte order mark"
        )
    if len(line) > LINE_BYTES_MAX:
        raise InputError(f"{where}: the line is longer than {LINE_BYTES_MAX:,} bytes: no line of such a file is")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8; expected text in UTF-8: if the "
            "file is Latin-1, convert it with `iconv -f LATIN1 -t UTF-8`"
        ) from error


class TableError(ValueError):
    """A file that is neither TOML nor JSON. The message names it and its fault."""


def read_table(file: Path) -> Any:
    """Read a TOML or JSON file. Raises TableError, InputError."""
    text = read_text(file)
    try:
        return msgspec.json.decode(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise TableError(f"{file} is neither TOML nor JSON: {error}") from error
