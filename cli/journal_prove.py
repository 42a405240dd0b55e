"""`exchange journal prove`: say whether the command of a receipt is in the journal."""

from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import UnreadableError, print_json
from exchange.cli.record_text import record_line
from exchange.history.expectations import seq_and_hash
from exchange.history.receipts import BadReceiptError, HeldReceipt, ProofResult, parse_receipt
from exchange.history.receipts import prove as prove_receipt
from exchange.journal.errors import JournalError
from exchange.outside_text import read_text


@click.command()
@click.argument("receipt", metavar="RECEIPT")
@db_option
@json_option
def prove(receipt: str, path: Path, as_json: bool) -> None:
    """Say whether the command of a receipt is in the journal.

    A client gets the receipt of its command with the parameter `receipt: true`. RECEIPT is a file, - for standard
    input, JSON text, or SEQ:HASH. The JSON is the receipt, or the whole answer that has it.

    The hash covers the command and all commands before it: none of them was changed since the answer. Archives are
    read, and the exchange may be running. Exit code 0: yes, 1: no, 2: the receipt, the journal or the archive with the
    command cannot be read.

    \b
    Examples:
      exchange journal prove answer.json
      exchange journal prove 1234:5d1c0a7e1f1b8a5f0f0c3b7be1c5c7f2ad1e65a8f2fdc1a4bb1f7a0a3c9d8e21
    """
    try:
        found = prove_receipt(path, _read(receipt))
    except (BadReceiptError, JournalError) as error:
        raise UnreadableError(str(error)) from error
    if as_json:
        print_json(found)
    else:
        _print(found)
    if not found.is_recorded:
        raise click.exceptions.Exit(1)


def _read(receipt: str) -> HeldReceipt:
    if receipt.lstrip().startswith("{") or seq_and_hash(receipt):
        return parse_receipt(receipt)
    return parse_receipt(read_text(Path(receipt)))


def _print(found: ProofResult) -> None:
    if found.is_recorded:
        click.echo(f"yes: seq {found.seq} of {found.path} is the command of the receipt")
    else:
        click.echo(f"no: {found.reason}")
    if found.command is not None and found.ts_us is not None:
        click.echo(record_line(found.seq, found.ts_us, bytes(found.command).decode()))
