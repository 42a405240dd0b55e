"""Writes small files next to the journal, which other processes may read or write at any time."""

import os
from pathlib import Path


def write_atomic(file: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace the content of a file atomically: a reader finds the old content or the new one, never a mixture.

    The umask takes bits from `mode`.
    """
    draft = file.with_name(f"{file.name}.draft-{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode), "wb") as opened:
            opened.write(content)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def create_private(file: Path, content: bytes) -> None:
    """Write a secret, which only the owner of the file may read. It is on disk when this returns."""
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        # Replacing is atomic: no process ever reads half a secret or an empty one.
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
