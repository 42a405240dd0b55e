"""Signed checkpoints of a journal: small files that say which hash the journal has at a seq.

The chain of hashes alone proves nothing against the operator: the operator can compute it again after a change. A
checkpoint does, to a holder who keeps it and the public key in another place than the journal.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from exchange.history.signatures import is_signed, public_key, sign
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.write_ahead_log import sync_journal
from exchange.outside_text import read_text

FORMAT = "exchange-checkpoint-1"


class SignedStatement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a checkpoint states. Hashes and keys are in hexadecimal, `made_at` is the system clock's time in UTC.

    `genesis_hash` is that of the first command; None if an archive was missing. The signature is over the encoding of
    these fields as JSON in this order, in UTF-8, without spaces.
    """

    format: Literal["exchange-checkpoint-1"]
    genesis_hash: str | None
    seq: int
    ts_us: int
    hash: str
    made_at: str
    public_key: str


class SignedCheckpoint(SignedStatement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a checkpoint file."""

    signature: str


class BadCheckpointError(Exception):
    """The file proves nothing: it is no checkpoint, or not signed with the key. The message is a sentence for users."""


def make_checkpoint(path: Path) -> SignedCheckpoint:
    """Sign the head of the journal at `path`, also while an exchange writes to it. Raises JournalError.

    Checks the last command only: verify the journal before you sign it.
    """
    with open_journal_reader(path) as reader:
        head, first = reader.head(), reader.head_at(1)
        before = reader.head_at(head.seq - 1) if head.seq else None
        if before is None:
            raise JournalError(f"{path} has no command yet: start the exchange on it first")
        # A checkpoint of a damaged last command would accuse the holder of a sound backup.
        for _ in reader.records(before, head.seq):
            pass
        sync_journal(path)
    fields = {
        "format": FORMAT,
        "genesis_hash": None if first is None else first.hash.hex(),
        "seq": head.seq,
        "ts_us": head.ts_us,
        "hash": head.hash.hex(),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "public_key": public_key(path).hex(),
    }
    statement = msgspec.convert(fields, SignedStatement)
    return msgspec.convert(fields | {"signature": sign(path, msgspec.json.encode(statement)).hex()}, SignedCheckpoint)


def checkpoint_text(checkpoint: SignedCheckpoint) -> bytes:
    """The content of a checkpoint file: one field a line."""
    return msgspec.json.format(msgspec.json.encode(checkpoint), indent=2) + b"\n"


def read_checkpoint(file: Path, known_keys: frozenset[str] = frozenset()) -> SignedCheckpoint:
    """Read a checkpoint file and check its signature. With `known_keys`, one of them must be its public key.

    Raises BadCheckpointError, InputError, and JournalError if the library for signatures is missing.
    """
    try:
        checkpoint = msgspec.json.decode(read_text(file), type=SignedCheckpoint)
        signature, key = bytes.fromhex(checkpoint.signature), bytes.fromhex(checkpoint.public_key)
        bytes.fromhex(checkpoint.hash + (checkpoint.genesis_hash or ""))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadCheckpointError(
            f"{file} is not a checkpoint ({error}): expected a file from `exchange journal checkpoint`"
        ) from error
    fields = {name: getattr(checkpoint, name) for name in SignedStatement.__struct_fields__}
    text = msgspec.json.encode(msgspec.convert(fields, SignedStatement))
    if not is_signed(text, signature, key):
        raise BadCheckpointError(
            f"{file} was changed after it was signed: its signature does not match. Use another copy of the checkpoint"
        )
    if known_keys and checkpoint.public_key not in known_keys:
        raise BadCheckpointError(
            f"{file} is signed with another key, {checkpoint.public_key}: it proves nothing to a holder of the key in "
            "--public-key. Anyone can make such a file"
        )
    return checkpoint
