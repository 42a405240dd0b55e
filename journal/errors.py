"""What can be wrong with a journal. Every message says what was found, what was expected and what to do."""


class JournalError(Exception):
    """The journal cannot be used as asked; the message is for people."""


class JournalMissingError(JournalError):
    """There is no file."""


class NotAJournalError(JournalError):
    """The file is no database, or a database of something else."""


class JournalTooNewError(JournalError):
    """A newer program has changed the schema."""


class JournalLockedError(JournalError):
    """Another process is writing to the journal."""


class JournalUnavailableError(JournalError):
    """Nothing of the batch was recorded, and trying again later is safe."""


class JournalFullError(JournalUnavailableError):
    """The disk is full."""


class JournalBusyError(JournalUnavailableError):
    """Another program has locked the database for writing."""


class JournalBrokenError(JournalError):
    """Writing failed, and it is not known what reached the disk: stop."""


class JournalDamagedError(JournalError):
    """What was read is not what was written."""


class JournalUnreadableError(JournalDamagedError):
    """SQLite cannot read a page of the file."""


class JournalArchivedError(JournalError):
    """What was asked for was sealed into an archive that is not beside the journal."""
