"""The disk space that a journal and its derived files take, and when the disk will be full."""

from pathlib import Path

import msgspec

from exchange.domain.units import US_PER_SECOND
from exchange.free_space import seconds_until_full
from exchange.history_db.file import history_path
from exchange.journal.archives import archive_folder
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.snapshots.store import SnapshotStore

# The commands whose rate counts as the present one.
_RECENT_COMMANDS = 10_000
# A shorter journal shows a rate only if it has run for this long: the first commands come at once.
_RATE_SECONDS_MIN = 60
# A disk that will be full before this is worth a warning.
WARN_SECONDS = 24 * 3600


class StorageUsage(msgspec.Struct, frozen=True):
    """The size of one kind of file, and the number of commands that these files hold or stand for."""

    size_bytes: int
    commands: int

    @property
    def bytes_per_command(self) -> float:
        """The average space of a command in these files."""
        return self.size_bytes / self.commands if self.commands else 0.0


class Storage(msgspec.Struct, frozen=True):
    """The space that each kind of file takes. `seconds_until_full` at the present rate; None if nothing grows."""

    journal: StorageUsage
    history: StorageUsage
    snapshots: StorageUsage
    archives: StorageUsage
    seconds_until_full: float | None

    @property
    def warning(self) -> str | None:
        """A sentence for operators if the disk will be full within a day."""
        if self.seconds_until_full is None or self.seconds_until_full >= WARN_SECONDS:
            return None
        return (
            f"at the present rate the disk will be full in {self.seconds_until_full / 3600:.1f} hours: "
            "free some space, or move the archives to another disk"
        )


def storage_of(path: Path) -> Storage:
    """Measure the files of the journal at `path`. Reads no commands but three. Raises a JournalError."""
    with open_journal_reader(path) as reader:
        first_seq, base_seq, head = reader.bases[0].head.seq, reader.bases[-1].head.seq, reader.head()
        rate = _commands_per_second(reader)
    journal = StorageUsage(_with_log(path), head.seq - base_seq)
    history = StorageUsage(_with_log(history_path(path)), head.seq - first_seq)
    archives = StorageUsage(_folder_bytes(archive_folder(path)), base_seq - first_seq)
    # New commands use the space of sealed ones, so a journal with archives grows by its archives.
    kept = archives if base_seq > first_seq else journal
    growth = (kept.bytes_per_command + history.bytes_per_command) * rate
    return Storage(
        journal,
        history,
        StorageUsage(_folder_bytes(SnapshotStore(path).folder), head.seq - first_seq),
        archives,
        seconds_until_full(path.absolute().parent, growth),
    )


def _commands_per_second(reader: JournalReader) -> float:
    """The rate of the last commands in the time of the exchange; 0 if there are too few to tell."""
    head = reader.head()
    before = reader.head_at(max(head.seq - _RECENT_COMMANDS, reader.bases[0].head.seq, 1))
    if before is None or before.ts_us >= head.ts_us:
        return 0.0
    count, seconds = head.seq - before.seq, (head.ts_us - before.ts_us) / US_PER_SECOND
    return count / seconds if count >= _RECENT_COMMANDS or seconds >= _RATE_SECONDS_MIN else 0.0


def _with_log(path: Path) -> int:
    """The size of a database and of its write-ahead log; 0 if there is none."""
    return sum(_size(file) for file in (path, path.with_name(path.name + "-wal")))


def _folder_bytes(folder: Path) -> int:
    return sum(_size(file) for file in folder.iterdir()) if folder.is_dir() else 0


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        # The follower deleted it in the meantime.
        return 0
