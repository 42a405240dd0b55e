"""Hashes that were kept elsewhere show each change of a journal: checkpoints, expected hashes, receipts.

The table of attacks is the promise: each attack leaves a journal that verifies as sound on its own, and each is caught
by a checkpoint and by the receipts of the commands from the change on.
"""

import builtins
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from exchange.domain.commands import Command, Genesis, OpenAccount, PlaceOrder, decode_command
from exchange.history.checkpoints import SignedCheckpoint
from exchange.history.compact import compact
from exchange.history.expectations import read_expectation
from exchange.history.receipts import BadReceiptError, HeldReceipt, parse_receipt, prove
from exchange.history.signatures import key_file
from exchange.history.verify import verify
from exchange.journal.archives import archive_folder
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Record
from tests.cli_support import complained, exchange, said, said_json
from tests.journals import play, write_journal

COUNT = 120
# The checkpoint of the tests is after this command.
SIGNED_SEQ = 100
Steps = list[tuple[int, Command]]


def no_bar(_done: int, _total: int) -> None:
    pass


def records_of(path: Path) -> list[Record]:
    with open_journal_reader(path) as reader:
        return list(reader.records(reader.bases[0].head))


def cut(path: Path, last_seq: int, new_path: Path) -> Path:
    """The journal as it was after `last_seq`."""
    write_journal(new_path, [(one.ts_us, decode_command(one.payload)) for one in records_of(path)[:last_seq]])
    return new_path


class Kept:
    """A journal, and what a careful client and an auditor kept of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "exchange.db"
        play(self.path, seed=1, count=COUNT)
        self.records = records_of(self.path)
        self.checkpoint = folder / "checkpoint.json"
        signed = cut(self.path, SIGNED_SEQ, folder / "then.db")
        said_quietly(exchange("journal", "checkpoint", self.checkpoint, "--db", signed))
        self.public_key = json.loads(self.checkpoint.read_text())["public_key"]

    def receipt(self, seq: int) -> HeldReceipt:
        record = self.records[seq - 1]
        return HeldReceipt(seq, record.hash.hex(), record.ts_us)

    def expected(self, seq: int) -> str:
        return f"{seq}:{self.records[seq - 1].hash.hex()}"


def said_quietly(result: Any) -> str:
    assert result.exit_code == 0, result.output
    return str(result.stdout)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def path(kept: Kept, tmp_path: Path) -> Path:
    return Path(shutil.copy(kept.path, tmp_path / "exchange.db"))


def first_seq_of(records: list[Record], kind: type[Command]) -> int:
    return next(one.seq for one in records if isinstance(decode_command(one.payload), kind))


def richer_account(steps: Steps) -> int:
    """The opening cash of the first account is one USDC higher."""
    index = next(n for n, (_, command) in enumerate(steps) if isinstance(command, OpenAccount))
    ts_us, command = steps[index]
    assert isinstance(command, OpenAccount)
    steps[index] = ts_us, replace(command, cash_micros=command.cash_micros + 1_000_000)
    return index + 1


def better_price(steps: Steps) -> int:
    """One order bids another price."""
    index = next(n for n, (_, command) in enumerate(steps) if n > 60 and isinstance(command, PlaceOrder))
    ts_us, command = steps[index]
    assert isinstance(command, PlaceOrder)
    steps[index] = ts_us, replace(command, size_milli=command.size_milli + 1_000)
    return index + 1


def other_rules(steps: Steps) -> int:
    """The first command has other rules."""
    ts_us, command = steps[0]
    assert isinstance(command, Genesis)
    steps[0] = ts_us, replace(command, rules=replace(command.rules, open_orders_max=command.rules.open_orders_max - 1))
    return 1


def later_command(steps: Steps) -> int:
    """One command has another time."""
    ts_us, command = steps[70]
    steps[70] = ts_us + 1, command
    return 71


def removed_command(steps: Steps) -> int:
    """One command is gone, and those after it moved up."""
    del steps[80]
    return 81


def cut_tail(steps: Steps) -> int:
    """The last commands are gone, those of the checkpoint too."""
    del steps[90:]
    return 91


ATTACKS = (richer_account, better_price, other_rules, later_command, removed_command, cut_tail)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_each_attack_is_caught_by_what_was_kept_and_by_nothing_else(
    kept: Kept, tmp_path: Path, attack: Callable[[Steps], int]
) -> None:
    steps = [(one.ts_us, decode_command(one.payload)) for one in kept.records]
    first_changed = attack(steps)
    path = tmp_path / "exchange.db"
    # Hashes, events and everything else are computed again from the first command on.
    write_journal(path, steps)
    assert verify(path, False, no_bar).damage is None
    assert exchange("journal", "check", "--db", path).exit_code == 0

    for kept_elsewhere in (str(kept.checkpoint), kept.expected(SIGNED_SEQ)):
        for fast in (True, False):
            verdict = verify(path, fast, no_bar, [read_expectation(kept_elsewhere)])
            assert verdict.damage is not None
            assert verdict.damaged_seq is not None and verdict.damaged_seq <= first_changed
    for seq in (first_changed, SIGNED_SEQ, COUNT):
        assert not prove(path, kept.receipt(seq)).is_recorded
    # Commands before the change are still there.
    for seq in {1, first_changed - 1} - {0, first_changed}:
        assert prove(path, kept.receipt(seq)).is_recorded


def test_the_real_journal_has_everything_that_was_kept(kept: Kept) -> None:
    before = kept.path.read_bytes()
    for record in kept.records[::7]:
        assert prove(kept.path, kept.receipt(record.seq)).is_recorded
    options = ("--expect", kept.checkpoint, "--expect", kept.expected(7), "--public-key", kept.public_key)
    text = said(exchange("journal", "verify", *options, "--db", kept.path))
    assert "2 match" in text and text.endswith("sound\n")
    assert kept.path.read_bytes() == before


def test_the_first_difference_lies_after_the_last_hash_that_fits(kept: Kept, tmp_path: Path) -> None:
    steps = [(one.ts_us, decode_command(one.payload)) for one in kept.records]
    changed = better_price(steps)
    path = tmp_path / "exchange.db"
    write_journal(path, steps)
    options = [word for seq in (20, changed - 1, changed + 9, 110) for word in ("--expect", kept.expected(seq))]
    result = exchange("journal", "verify", "--fast", *options, "--db", path)
    assert result.exit_code == 1
    assert f"a command from seq {changed} to {changed + 9} was changed" in result.stdout


def test_the_reason_names_the_change(kept: Kept, tmp_path: Path) -> None:
    """Another first command may mean another journal; a later one may mean only a change."""
    steps = [(one.ts_us, decode_command(one.payload)) for one in kept.records]
    path, other = tmp_path / "exchange.db", tmp_path / "other.db"
    better_price(steps)
    write_journal(path, steps)
    other_rules(steps)
    write_journal(other, steps)
    assert "a command up to there was changed" in prove(path, kept.receipt(SIGNED_SEQ)).reason
    damage = verify(path, True, no_bar, [read_expectation(str(kept.checkpoint))]).damage
    assert damage is not None and damage.startswith(f"seq {SIGNED_SEQ} has the hash ")
    damage = verify(other, True, no_bar, [read_expectation(str(kept.checkpoint))]).damage
    assert damage is not None and damage.startswith("the first command has the hash ")


def test_a_missing_tail_is_named(kept: Kept, tmp_path: Path) -> None:
    path = cut(kept.path, 90, tmp_path / "exchange.db")
    result = exchange("journal", "verify", "--expect", kept.checkpoint, "--public-key", kept.public_key, "--db", path)
    assert result.exit_code == 1
    assert "the journal ends at seq 90" in result.stdout and "tail is missing, at least 10 commands" in result.stdout
    result = exchange("journal", "prove", kept.expected(SIGNED_SEQ), "--db", path)
    assert result.exit_code == 1 and "no: the journal ends at seq 90: its tail is missing" in result.stdout


def test_a_changed_row_that_keeps_its_hash_is_caught(kept: Kept, path: Path) -> None:
    """Both the recorded hash and the contents count: a row may keep its hash and have other contents."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER commands_are_never_changed")
        connection.execute("UPDATE commands SET ts_us = ts_us + 1 WHERE seq = 50")
        connection.commit()
    found = prove(path, kept.receipt(50))
    assert not found.is_recorded and "its contents were changed" in found.reason
    verdict = verify(path, True, no_bar, [read_expectation(str(kept.checkpoint))])
    assert verdict.damaged_seq == 50


# Checkpoint files.


def test_a_checkpoint_is_a_small_readable_file(kept: Kept, path: Path) -> None:
    content = json.loads(kept.checkpoint.read_text())
    assert list(content) == [
        *("format", "genesis_hash", "seq", "ts_us", "hash", "made_at", "public_key", "signature"),
    ]
    assert content["genesis_hash"] == kept.records[0].hash.hex()
    assert (content["seq"], content["hash"]) == (SIGNED_SEQ, kept.records[SIGNED_SEQ - 1].hash.hex())
    assert kept.checkpoint.stat().st_size < 700
    result = exchange("journal", "checkpoint", "--db", path)
    assert result.exit_code == 0 and json.loads(result.stdout)["seq"] == COUNT
    assert f"signed seq {COUNT}" in result.stderr and json.loads(result.stdout)["public_key"] in result.stderr
    assert key_file(path).stat().st_mode & 0o777 == 0o600


def test_checkpoints_of_one_journal_have_one_key_and_overwrite_no_file(path: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    for file in (first, second):
        said_quietly(exchange("journal", "checkpoint", file, "--db", path))
    assert json.loads(first.read_text())["public_key"] == json.loads(second.read_text())["public_key"]
    assert "exists already" in complained(exchange("journal", "checkpoint", first, "--db", path))


@pytest.mark.parametrize(
    ("field", "value"),
    [("seq", 99), ("hash", "0" * 64), ("ts_us", 1), ("made_at", "2020-01-01T00:00:00Z"), ("genesis_hash", None)],
)
def test_a_changed_checkpoint_file_is_refused(kept: Kept, tmp_path: Path, field: str, value: object) -> None:
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(json.loads(kept.checkpoint.read_text()) | {field: value}))
    text = complained(exchange("journal", "verify", "--expect", file, "--db", kept.path), 2)
    assert "was changed after it was signed" in text


def test_a_checkpoint_of_another_key_is_refused_if_the_key_is_known(kept: Kept, path: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged.json"
    said_quietly(exchange("journal", "checkpoint", forged, "--db", path))
    known = tmp_path / "auditor.key"
    known.write_text(kept.public_key + "\n")
    for option in (known, kept.public_key.upper()):
        result = exchange("journal", "verify", "--fast", "--expect", forged, "--public-key", option, "--db", path)
        assert "is signed with another key" in complained(result, 2)
        said(exchange("journal", "verify", "--fast", "--expect", kept.checkpoint, "--public-key", option, "--db", path))
    result = exchange("journal", "verify", "--fast", "--expect", forged, "--db", path)
    assert result.exit_code == 0 and "compare it with the key that you keep" in result.stderr


def test_openssl_can_check_a_signature(kept: Kept, tmp_path: Path) -> None:
    """The signed text is what the documentation says, and the key is in a form that other programs read."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    content = json.loads(kept.checkpoint.read_text())
    signature = bytes.fromhex(content.pop("signature"))
    text, signed = tmp_path / "text", tmp_path / "signature"
    text.write_text(json.dumps(content, separators=(",", ":")))
    signed.write_bytes(signature)
    # The fixed beginning of an Ed25519 public key in DER.
    public = tmp_path / "public.der"
    public.write_bytes(bytes.fromhex("302a300506032b6570032100" + content["public_key"]))
    check = f"openssl pkeyutl -verify -pubin -keyform DER -inkey {public} -rawin -in {text} -sigfile {signed}"
    result = subprocess.run(shlex.split(check), capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("content", ["", "{}", "hello", '{"format":"exchange-checkpoint-2"}', "[" * 9_999])
def test_a_file_that_is_no_checkpoint_is_refused(kept: Kept, tmp_path: Path, content: str) -> None:
    file = tmp_path / "odd.json"
    file.write_text(content)
    text = complained(exchange("journal", "verify", "--expect", file, "--db", kept.path), 2)
    assert f"{file} is not a checkpoint" in text


@pytest.mark.parametrize("option", ["missing.json", "17:abc", "x:" + "0" * 64, "."])
def test_an_expectation_that_cannot_be_read_is_a_usage_error(kept: Kept, option: str) -> None:
    text = complained(exchange("journal", "verify", "--expect", option, "--db", kept.path), 2)
    assert "--expect takes SEQ:HASH or a checkpoint file" in text


@pytest.mark.parametrize("option", ["missing.key", "abc", "."])
def test_a_public_key_that_cannot_be_read_is_a_usage_error(kept: Kept, option: str) -> None:
    text = complained(exchange("journal", "verify", "--public-key", option, "--db", kept.path), 2)
    assert "public key" in text


def test_without_the_library_the_extra_is_named(kept: Kept, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def refuse(name: str, *others: Any, **more: Any) -> Any:
        if name.startswith("cryptography"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return load(name, *others, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    hint = "pip install 'event-sourced-exchange[proof]'"
    assert hint in complained(exchange("journal", "checkpoint", "--db", path))
    assert hint in complained(exchange("journal", "verify", "--expect", kept.checkpoint, "--db", path), 2)
    # A hash needs no library.
    said(exchange("journal", "verify", "--fast", "--expect", kept.expected(5), "--db", path))


def test_an_unusable_key_is_named(path: Path) -> None:
    key_file(path).write_text("not a key")
    assert "is not an Ed25519 key" in complained(exchange("journal", "checkpoint", "--db", path))


def test_a_damaged_head_is_not_signed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER commands_are_never_changed")
        connection.execute(f"UPDATE commands SET ts_us = ts_us + 1 WHERE seq = {COUNT}")
        connection.commit()
    assert f"seq {COUNT} is damaged" in complained(exchange("journal", "checkpoint", "--db", path))


# Receipts.


def test_a_receipt_is_read_in_each_form(kept: Kept, tmp_path: Path) -> None:
    receipt = kept.receipt(40)
    plain = msgspec.to_builtins(receipt)
    forms = [
        plain,
        {"receipt": plain},
        {"jsonrpc": "2.0", "id": 1, "result": {"seq": 40, "receipt": plain}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1002, "data": {"seq": 40, "receipt": plain}}},
        {"jsonrpc": "2.0", "id": 1, "result": plain},
        plain | {"hash": plain["hash"].upper()},
    ]
    for form in forms:
        assert parse_receipt(json.dumps(form)) == receipt
    assert parse_receipt(f"40:{receipt.hash}") == HeldReceipt(40, receipt.hash)
    assert parse_receipt(kept.checkpoint.read_text()).seq == SIGNED_SEQ
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(forms[2]), encoding="utf-8-sig")
    text = said(exchange("journal", "prove", file, "--db", kept.path))
    assert text.startswith("yes: seq 40 of ") and text.count("\n") == 2
    assert said_json(exchange("journal", "prove", json.dumps(plain), "--json", "--db", kept.path))["is_recorded"]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"seq":1}', '{"seq":1,"hash":"ab"}', '{"seq":"1","hash":"0"}']
)
def test_a_text_without_a_receipt_is_refused(kept: Kept, tmp_path: Path, text: str) -> None:
    with pytest.raises(BadReceiptError, match="this is not a receipt"):
        parse_receipt(text)
    file = tmp_path / "odd.json"
    file.write_text(text)
    assert "this is not a receipt" in complained(exchange("journal", "prove", file, "--db", kept.path), 2)


def test_a_receipt_that_cannot_be_read_is_exit_code_2(kept: Kept, tmp_path: Path) -> None:
    complained(exchange("journal", "prove", "missing.json", "--db", kept.path), 2)
    complained(exchange("journal", "prove", kept.expected(5), "--db", tmp_path / "missing.db"), 2)
    file = tmp_path / "utf16.json"
    file.write_text(json.dumps(msgspec.to_builtins(kept.receipt(5))), encoding="utf-16")
    complained(exchange("journal", "prove", file, "--db", kept.path), 2)


@pytest.mark.parametrize("seq", [0, COUNT + 1, 10**15])
def test_a_seq_that_does_not_exist_is_a_no(kept: Kept, seq: int) -> None:
    result = exchange("journal", "prove", f"{seq}:{'0' * 64}", "--db", kept.path)
    assert result.exit_code == 1 and result.stdout.startswith("no: ")


def test_archived_commands_are_found_and_a_missing_archive_is_named(kept: Kept, path: Path) -> None:
    for before_seq in (30, 60):
        compact(path, before_seq, lambda sentence: None, no_bar)
    for seq in (1, 29, 30, 59, 60, COUNT):
        assert prove(path, kept.receipt(seq)).is_recorded, seq
    options = [word for seq in (10, 29, 59, 100) for word in ("--expect", kept.expected(seq))]
    said(exchange("journal", "verify", "--fast", *options, "--db", path))
    assert not prove(path, HeldReceipt(12, "0" * 64)).is_recorded

    first, _ = sorted(archive_folder(path).iterdir())
    first.rename(path.with_name("elsewhere.db"))
    for seq in (1, 29):
        text = complained(exchange("journal", "prove", kept.expected(seq), "--db", path), 2)
        assert "is in an archive that is missing" in text
    text = complained(exchange("journal", "verify", "--fast", "--expect", kept.expected(10), "--db", path), 2)
    assert "is in an archive that is missing" in text
    # The hash of the last command of a missing archive is known from the file that continues it.
    said(exchange("journal", "verify", "--fast", "--expect", kept.expected(29), "--db", path))
    assert prove(path, kept.receipt(30)).is_recorded
    result = exchange("journal", "checkpoint", "--db", path)
    assert json.loads(result.stdout)["genesis_hash"] is None


def test_info_shows_the_hashes(kept: Kept) -> None:
    info = said_json(exchange("journal", "info", "--json", "--db", kept.path))
    assert (info["last_hash"], info["genesis_hash"]) == (kept.records[-1].hash.hex(), kept.records[0].hash.hex())
    assert kept.records[-1].hash.hex() in said(exchange("journal", "info", "--db", kept.path))


def test_the_files_of_a_checkpoint_are_as_the_types_say(kept: Kept) -> None:
    assert msgspec.json.decode(kept.checkpoint.read_bytes(), type=SignedCheckpoint).public_key == kept.public_key
    assert os.path.basename(key_file(kept.path)) == "exchange.db.signing-key"
