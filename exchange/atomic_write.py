"""Small files beside the journal that several processes may write and read at any time."""

import os
from pathlib import Path


def write_atomic(file: Path, content: bytes) -> None:
    """Write a file, all at once: who reads it meanwhile finds it as it was or as it is."""
    draft = file.with_name(f"{file.name}.draft-{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(file)
