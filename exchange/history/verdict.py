"""The result of verifying a journal."""

import msgspec


class Verdict(msgspec.Struct):
    """The counts of verified items, and the first damage found.

    `damage` describes the first damage and `damaged_seq` is its seq, if that is known. `events` counts those
    that an earlier version recorded. `digest` is that of the state after `last_seq`. `expected` counts the hashes that
    were expected and found. `notes` are things that could not be checked. `history_rows` of the history were compared,
    up to `history_seq`.
    """

    path: str
    first_seq: int = 0
    last_seq: int = 0
    commands: int = 0
    events: int = 0
    snapshots: int = 0
    digests: int = 0
    history_seq: int = 0
    history_rows: int = 0
    expected: int = 0
    digest: str | None = None
    notes: list[str] = []
    damage: str | None = None
    damaged_seq: int | None = None


class DamageError(Exception):
    """The first damage of a journal, and its seq if it is known."""

    def __init__(self, seq: int | None, text: str) -> None:
        super().__init__(text)
        self.seq = seq


def check_last_seq(verdict: Verdict, last_seq: int) -> None:
    """Raise DamageError if the commands verified end before the last command of the journal."""
    if verdict.last_seq != last_seq:
        missing = verdict.last_seq + 1
        raise DamageError(missing, f"seq {missing} is missing: the last command is seq {last_seq}")
