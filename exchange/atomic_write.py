"""Writes small files next to the journal, which other processes may read or write at any time."""

import os
from pathlib import Path


def write_atomic(file: Path, content: bytes) -> None:
    """Replace the content of a file atomically: a reader finds the old content or the new one, never a mixture."""
    draft = file.with_name(f"{file.name}.draft-{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(file)
