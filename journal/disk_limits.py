"""Limits that stop writes as a full disk does, but that SQLite reports as an I/O error: quotas and file sizes."""

import errno
import os
import tempfile
from pathlib import Path

from exchange.journal.file_header import log_path

# More than SQLite writes at once.
_PROBE_BYTES = 128 * 1024
_OF_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_limit_reached(path: Path) -> bool:
    """True if this process may not write more to the journal at `path`: a quota, or the limit of a file's size.

    SQLite tells these from a broken disk no more than Python does. So this writes a probe next to the journal.
    """
    return _is_file_at_limit(path) or _is_folder_full(path.absolute().parent)


def _is_file_at_limit(path: Path) -> bool:
    if os.name == "nt":
        return False
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [file.stat().st_size for file in (path, log_path(path)) if file.exists()]
    return limit != resource.RLIM_INFINITY and max(sizes, default=0) + _PROBE_BYTES > limit


def _is_folder_full(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno in _OF_FULL_DISK
    return False
