"""The file with the keys of a journal, next to it: readable by its owner only, because it holds the secrets.

The command line changes the file, and the running exchange reads it again within a second. The times of the last uses
are in a file of their own, which the exchange writes.
"""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from filelock import FileLock

from exchange.atomic_write import create_private, write_atomic
from exchange.keys.key import Key

# Characters of a secret below which it could be guessed.
SECRET_MIN = 16
_FILE_MAX = 64 * 1024 * 1024
_PRIVATE_MODE = 0o600


class KeyFileError(Exception):
    """A file with secrets cannot be used; the message names the reason and the remedy."""


class _KeyFileContent(msgspec.Struct):
    keys: list[Key]


def key_path(journal: Path) -> Path:
    """The file with the keys of the journal at this path."""
    return journal.with_name(journal.name + ".keys")


def read_private(file: Path) -> str:
    """The text of a file with a secret. Raises KeyFileError if others can read it or it is no text; OSError too."""
    with file.open("rb") as opened:
        mode = os.fstat(opened.fileno()).st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            raise KeyFileError(
                f"{file} has mode {mode:04o}: other users could read the secret. Run `chmod 600 {file}`, and make a "
                "new secret if one of them may have read it"
            )
        content = opened.read(_FILE_MAX)
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise KeyFileError(f"{file} is not a text: {_INSTEAD}") from None
    if not text.replace("\n", " ").replace("\r", " ").strip().isprintable():
        raise KeyFileError(f"{file} is not a text: {_INSTEAD}")
    return text


_INSTEAD = "restore it from a backup, or delete it and make new secrets"


def read_keys(journal: Path) -> list[Key]:
    """The keys of a journal, oldest first; none without the file. Raises KeyFileError or OSError."""
    file = key_path(journal)
    try:
        text = read_private(file)
    except FileNotFoundError:
        return []
    try:
        keys = msgspec.json.decode(text, type=_KeyFileContent).keys
    except msgspec.DecodeError as error:
        raise KeyFileError(f"{file} is damaged ({error}): {_INSTEAD}") from None
    for key in keys:
        if len(key.secret) < SECRET_MIN and key.revoked_us is None:
            raise KeyFileError(f"{file}: the secret of {key.client_id} is too short: {_INSTEAD}")
    return keys


def change_keys(journal: Path, change: Callable[[list[Key]], list[Key]]) -> None:
    """Replace the keys of a journal by the result of `change`. Raises KeyFileError or OSError.

    Two processes never lose a change of each other.
    """
    file = key_path(journal)
    with FileLock(file.with_name(file.name + ".lock"), mode=_PRIVATE_MODE):
        content = msgspec.json.format(msgspec.json.encode(_KeyFileContent(change(read_keys(journal)))))
        create_private(file, content + b"\n")
        if os.name == "posix" and not os.geteuid() and journal.exists():
            # Root made it for an exchange that runs as the owner of the journal.
            owner = journal.stat()
            os.chown(file, owner.st_uid, owner.st_gid)


def uses_path(journal: Path) -> Path:
    """The file with the times of the last uses of the keys of the journal at this path."""
    return journal.with_name(journal.name + ".key-uses")


def read_uses(journal: Path) -> dict[str, int]:
    """The time (µs) of the last use of each key that was used. A missing or damaged file is empty."""
    try:
        return msgspec.json.decode(uses_path(journal).read_bytes(), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        return {}


def write_uses(journal: Path, uses: dict[str, int]) -> None:
    """Write the times of the last uses. Raises OSError."""
    write_atomic(uses_path(journal), msgspec.json.encode(uses), _PRIVATE_MODE)
