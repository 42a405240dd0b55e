"""Looks for the command of a receipt in a journal."""

from pathlib import Path
from typing import Any

import msgspec

from exchange.history.expectations import seq_and_hash
from exchange.journal.errors import JournalArchivedError
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import chain_hash

# Where the receipt is in an answer: of a success, of an error.
_PLACES = (("receipt",), ("result", "receipt"), ("error", "data", "receipt"), ("data", "receipt"), ("result",))


class BadReceiptError(Exception):
    """The text has no receipt. The message is a sentence for users."""


class HeldReceipt(msgspec.Struct, frozen=True):
    """A receipt as a client kept it. The time is None if the client kept only seq and hash."""

    seq: int
    hash: str
    ts_us: int | None = None


class ProofResult(msgspec.Struct, frozen=True):
    """Whether the command of a receipt is in a journal. `command` is the recorded text at its seq, None without one.

    `reason` says why the command is not there; it is empty if it is.
    """

    path: str
    seq: int
    is_recorded: bool
    reason: str = ""
    ts_us: int | None = None
    hash: str | None = None
    command: msgspec.Raw | None = None


def parse_receipt(text: str) -> HeldReceipt:
    """Read a receipt, an answer with a receipt, a checkpoint, or `SEQ:HASH`. Raises BadReceiptError."""
    if found := seq_and_hash(text):
        return HeldReceipt(*found)
    try:
        content = msgspec.json.decode(text)
        receipt = msgspec.convert(_receipt_in(content), HeldReceipt)
        is_hash = len(bytes.fromhex(receipt.hash)) == 32
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _bad(str(error)) from error
    if not is_hash:
        raise _bad(f"its hash has {len(receipt.hash)} characters")
    return HeldReceipt(receipt.seq, receipt.hash.lower(), receipt.ts_us)


def prove(path: Path, receipt: HeldReceipt) -> ProofResult:
    """Look for the command of a receipt in the journal at `path` and its archives, also while an exchange is running.

    The hash covers all commands before this one, so it is computed again from the recorded command and the hash before
    it. Reads two rows. Raises JournalArchivedError if the command is in an archive that is missing, and JournalError.
    """
    with open_journal_reader(path) as reader:
        seq, head, base = receipt.seq, reader.head(), reader.bases[0].head
        record = next(reader.records_where(seq, seq), None)
        before = reader.head_at(seq - 1)
    found = ProofResult(str(path), seq, False)
    if record is None and 0 < seq <= base.seq:
        raise JournalArchivedError(
            f"seq {seq} of {path} is in an archive that is missing, so nothing can be said about the receipt: put the "
            "archive back"
        )
    if record is None or before is None:
        reason = f"the journal ends at seq {head.seq}: its tail is missing" if seq > head.seq else "no such seq exists"
        return msgspec.structs.replace(found, reason=f"{reason}, or the receipt is of another journal")
    computed = chain_hash(before.hash, record.seq, record.ts_us, record.payload).hex()
    if record.hash.hex() != receipt.hash:
        reason = (
            f"seq {seq} has the hash {record.hash.hex()}: a command up to there was changed, or the receipt is of "
            "another journal"
        )
    elif computed != receipt.hash:
        reason = f"seq {seq} has the hash of the receipt, but its contents were changed: the journal is damaged"
    elif receipt.ts_us not in (None, record.ts_us):
        reason = f"seq {seq} has the hash of the receipt, but the time {record.ts_us}: the receipt was changed"
    else:
        reason = ""
    return msgspec.structs.replace(
        found,
        is_recorded=not reason,
        reason=reason,
        ts_us=record.ts_us,
        hash=record.hash.hex(),
        command=msgspec.Raw(record.payload.encode()),
    )


def _receipt_in(content: Any) -> Any:
    for place in _PLACES:
        part = content
        for name in place:
            part = part.get(name) if isinstance(part, dict) else None
        if isinstance(part, dict) and "hash" in part:
            return part
    return content


def _bad(cause: str) -> BadReceiptError:
    return BadReceiptError(
        f"this is not a receipt ({cause}): expected the `receipt` of an answer, such as "
        '{"seq":9,"ts_us":1771545600000008,"hash":"5d1c..."}, or SEQ:HASH'
    )
