"""Compares a journal with hashes that were kept elsewhere."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from exchange.history.checkpoints import read_checkpoint
from exchange.history.verdict import DamageError
from exchange.journal.errors import JournalArchivedError
from exchange.journal.protocols import JournalReader

_SEQ_AND_HASH = re.compile(r"([0-9]{1,16}):([0-9a-fA-F]{64})")


class Expectation(NamedTuple):
    """The hash, in hexadecimal, that the journal must have at `seq`. `source` names its origin in messages.

    `genesis_hash` is None if it is not known, `public_key` if no checkpoint file states the expectation.
    """

    seq: int
    hash: str
    source: str
    genesis_hash: str | None = None
    public_key: str | None = None


def seq_and_hash(text: str) -> tuple[int, str] | None:
    """The parts of a text such as `17:5d1c...`; None if it has another form."""
    match = _SEQ_AND_HASH.fullmatch(text.strip())
    return None if match is None else (int(match[1]), match[2].lower())


def read_expectation(text: str, known_keys: frozenset[str] = frozenset()) -> Expectation:
    """Read `SEQ:HASH` or a checkpoint file. Raises as `read_checkpoint` does."""
    if found := seq_and_hash(text):
        return Expectation(*found, f"--expect {found[0]}:{found[1][:8]}...")
    checkpoint = read_checkpoint(Path(text), known_keys)
    return Expectation(checkpoint.seq, checkpoint.hash, text, checkpoint.genesis_hash, checkpoint.public_key)


def compare(reader: JournalReader, expectations: Iterable[Expectation]) -> int:
    """Compare the recorded hashes with the expected ones, in the order of seq. Returns the number of expectations.

    The caller verifies that the recorded hashes are those of the commands. Raises DamageError at the first difference,
    and JournalArchivedError if the command is in an archive that is missing.
    """
    head, first = reader.head(), reader.head_at(1)
    last_equal_seq = count = 0
    for expected in sorted(expectations):
        if expected.genesis_hash and first is not None and first.hash.hex() != expected.genesis_hash:
            raise DamageError(
                1,
                f"the first command has the hash {first.hash.hex()}, but {expected.source} expects "
                f"{expected.genesis_hash}: it was changed, or the checkpoint is of another journal",
            )
        if expected.seq > head.seq:
            raise DamageError(
                head.seq + 1,
                f"the journal ends at seq {head.seq}, but {expected.source} expects seq {expected.seq}: the journal's "
                f"tail is missing, at least {expected.seq - head.seq} commands",
            )
        recorded = reader.head_at(expected.seq)
        if recorded is None and expected.seq < reader.bases[0].head.seq:
            raise JournalArchivedError(
                f"seq {expected.seq}, which {expected.source} expects, is in an archive that is missing: put the "
                "archive back"
            )
        if recorded is None or recorded.hash.hex() != expected.hash:
            is_hash = "is missing" if recorded is None else f"has the hash {recorded.hash.hex()}"
            raise DamageError(
                last_equal_seq + 1,
                f"seq {expected.seq} {is_hash}, but {expected.source} expects {expected.hash}: a command from seq "
                f"{last_equal_seq + 1} to {expected.seq} was changed",
            )
        last_equal_seq, count = expected.seq, count + 1
    return count
