"""Free space of disks. The journal must be the last file that a full disk stops, so derived files stop earlier."""

import shutil
from collections.abc import Callable
from pathlib import Path

# Below this, no file is written that can be derived from the journal: history, snapshots, archives.
FREE_PERCENT_MIN = 5


def free_bytes(path: Path) -> int:
    """The bytes that this process can still write to the disk of `path`, an existing file or folder."""
    return shutil.disk_usage(path).free


def is_space_low(path: Path) -> bool:
    """True if less than 5 % of the disk of `path` is free. Raises OSError if `path` does not exist."""
    usage = shutil.disk_usage(path)
    # A file system keeps some space for the administrator, which counts neither as used nor as free, as in `df`.
    return usage.free * 100 < FREE_PERCENT_MIN * (usage.used + usage.free)


def seconds_until_full(path: Path, bytes_per_second: float) -> float | None:
    """The time until the disk of `path` is full if files grow at this rate; None if they do not grow."""
    return free_bytes(path) / bytes_per_second if bytes_per_second > 0 else None


def why_no_space(folder: Path, subject: str) -> str | None:
    """Why `subject`, such as "snapshots", may not be written to `folder`, as a sentence; None if there is space."""
    if not is_space_low(folder):
        return None
    return (
        f"no {subject} are written while less than {FREE_PERCENT_MIN} % of the disk of {folder} is free "
        f"({free_bytes(folder):,} bytes are): free some space"
    )


class SpaceGuard:
    """Decides whether a derived file may be written next to `path`; reports one line each time the answer changes.

    `subject` names what is written, in the plural: "snapshots".
    """

    def __init__(self, path: Path, subject: str, report: Callable[[str], None]) -> None:
        self._folder = path.absolute().parent
        self._subject = subject
        self._report = report
        self._was_low = False

    def allows(self) -> bool:
        """True if at least 5 % of the disk is free. Costs one system call."""
        problem = why_no_space(self._folder, self._subject)
        if (problem is not None) != self._was_low:
            self._was_low = problem is not None
            self._report(problem or f"{self._subject} are written again: there is free space")
        return problem is None
