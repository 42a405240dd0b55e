"""The errors of a journal. Every message names the fault and the next step for the user."""

# The next step if SQLite cannot read a file.
UNREADABLE_STEP = "check the disk, and restore a backup if the file is damaged"

# The next steps if commands are lost, and if the history does not hold them.
NOT_HELD_STEP = (
    "put back the files that are missing, or continue without these commands with `exchange serve --accept-loss`"
)
LOST_STEP = f"`exchange journal repair` restores them if the history holds them; otherwise {NOT_HELD_STEP}"

DAMAGED_STEP = "`exchange journal repair` restores damaged commands that the history holds"


class JournalError(Exception):
    """The journal cannot be used as asked. The message is a sentence for users; `reason` is a word for programs."""

    reason = "bad_journal"


class JournalMissingError(JournalError):
    """There is no file at the path."""


class NotAJournalError(JournalError):
    """The file is not a database, or it is a database of another program."""


class JournalTooNewError(JournalError):
    """A newer version of this program has changed the schema."""


class ForeignLogError(JournalError):
    """The -wal next to the file is left over from another journal."""


class JournalLockedError(JournalError):
    """Another process is writing to the journal."""


class JournalUnwritableError(JournalError):
    """The lock file of the journal cannot be written."""


class JournalUnavailableError(JournalError):
    """Nothing of the batch was recorded. The caller can try again later."""


class JournalFullError(JournalUnavailableError):
    """The disk is full."""


class JournalBusyError(JournalUnavailableError):
    """Another program has locked the database for writing."""


class JournalBrokenError(JournalError):
    """A write failed, and it is unknown how much of it is on disk. The exchange must stop."""


class JournalDamagedError(JournalError):
    """The stored contents are not those that were written."""


class CommandsLostError(JournalDamagedError):
    """The journal had more commands than it has now: `loss` is the sentence, `seq` the first that is lost."""

    def __init__(self, seq: int, loss: str, another_step: str = "") -> None:
        super().__init__(f"{loss}. {LOST_STEP}{another_step}")
        self.seq = seq
        self.loss = loss


class JournalUnreadableError(JournalDamagedError):
    """SQLite cannot read a page of the file."""


class JournalArchivedError(JournalError):
    """The commands asked for are in an archive that is not next to the journal."""
