"""Exporting, importing, copying, forking and comparing journals: nothing is lost, and differences are reported."""

import asyncio
import gzip
import json
import os
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from exchange.cli.client import RunningExchange, log_in
from exchange.cli.main import main
from exchange.domain.commands import Command, Deposit, Fork, encode_command
from exchange.domain.events import Deposited, Event
from exchange.engine.recovery import recover
from exchange.history import fork as forking
from exchange.history.compact import compact
from exchange.history.verify import verify
from exchange.journal.archives import archive_folder
from exchange.journal.atomic_journal import copy_pages, copy_rows, new_journal
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Record, chain
from exchange.journal.schema import schema_faults
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import digest
from tests.history_sql import ask_past
from tests.journals import play, write_journal
from tests.random_commands import random_steps
from tests.test_recovery import INSTRUMENT, server

COUNT = 600


def no_bar(_done: int, _total: int) -> None:
    pass


def run(*arguments: object, db: Path | None = None) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(main, words if db is None else [*words, "--db", str(db)])


def rows(path: Path) -> tuple[list[Record], list[tuple[int, int, str]]]:
    with open_journal_reader(path) as reader:
        return list(reader.records(reader.bases[0].head)), list(reader.events(1, 10**9))


def digest_of(path: Path, seq: int | None = None) -> str:
    return digest(recover(path, lambda s: None, no_bar, up_to=seq).engine.state)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "exchange.db"
    play(path, seed=3, count=COUNT)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lines.jsonl", "lines.jsonl.gz"])
def test_export_and_import_are_byte_identical(path: Path, tmp_path: Path, name: str) -> None:
    out, again, copy = tmp_path / name, tmp_path / f"again-{name}", tmp_path / "copy.db"
    assert run("journal", "export", out, db=path).exit_code == 0
    outcome = run("journal", "import", out, db=copy)
    assert outcome.exit_code == 0, outcome.output
    assert digest_of(path) in outcome.stdout
    assert rows(copy) == (rows(path)[0], [])
    assert run("journal", "export", again, db=copy).exit_code == 0
    assert again.read_bytes() == out.read_bytes()
    assert out.read_bytes().startswith(b"\x1f\x8b" if name.endswith(".gz") else b'{"seq":1,')
    assert verify(copy, False, no_bar).damage is None


@pytest.mark.slow
def test_export_includes_archives(path: Path) -> None:
    before = run("journal", "export", db=path).stdout
    compact(path, 300, lambda s: None, no_bar)
    assert run("journal", "export", db=path).stdout == before
    assert len(run("journal", "export", "--from", "250", "--to", "350", db=path).stdout.splitlines()) == 101


def wrong_lines(lines: list[str]) -> list[tuple[list[str], str]]:
    changed = json.loads(lines[9])
    changed["command"]["kind"] = "cancel_all"
    return [
        ([], "contains no command"),
        (lines[5:], "line 1: .* seq 1 is missing"),
        ([*lines[:5], *lines[6:]], "line 6: .* seq 6 is missing"),
        (
            [*lines[:9], json.dumps(changed, separators=(",", ":")), *lines[10:]],
            "line 10: .* its hash does not match",
        ),
        ([*lines[:3], "{}", *lines[3:]], "line 4: the line is not an exported command"),
        ([*lines[:3], "\xff", *lines[3:]], "line 4: byte 1 .* is not UTF-8"),
        ([*lines[:3], lines[3][:40]], "line 4: the line is not an exported command"),
        ([lines[0].replace('"hash":"', '"hash":"x')], "line 1: the line is not an exported command"),
        ([lines[0].replace('"ts_us":', '"ts_us":9999999999')], "line 1: the line is not an exported command"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", range(9))
def test_failed_import_names_the_line_and_leaves_no_file(path: Path, tmp_path: Path, case: int) -> None:
    lines, message = wrong_lines(run("journal", "export", db=path).stdout.splitlines())[case]
    source, copy = tmp_path / "in.jsonl", tmp_path / "new" / "copy.db"
    copy.parent.mkdir()
    source.write_text("".join(f"{line}\n" for line in lines), encoding="latin-1")
    outcome = run("journal", "import", source, db=copy)
    # A line that is no exported command is unreadable input, a broken chain is a failure.
    assert outcome.exit_code == (1 if "seq" in message or "hash" in message else 2)
    assert re.search(message, outcome.stderr), outcome.stderr
    assert list(copy.parent.iterdir()) == []


@pytest.mark.slow
def test_existing_files_are_not_overwritten(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    run("journal", "export", out, db=path)
    other = tmp_path / "other.db"
    other.write_text("mine")
    for command in (("journal", "backup", other), ("fork", "--at", 5, other)):
        outcome = run(*command, db=path)
        assert (outcome.exit_code, "exists already" in outcome.stderr) == (1, True), outcome.output
    assert run("journal", "import", out, db=other).exit_code == 1
    assert run("journal", "backup", tmp_path / "no" / "folder.db", db=path).exit_code == 1
    assert other.read_text() == "mine"
    damaged = tmp_path / "lines.jsonl.gz"
    damaged.write_bytes(gzip.compress(out.read_bytes())[:500])
    assert "is not a valid .gz file" in run("journal", "import", damaged, db=tmp_path / "x.db").stderr
    damaged.write_bytes(gzip.compress(out.read_bytes())[:10] + b"\xff" * 500)  # no block of this type is known
    assert "is not a valid .gz file" in run("journal", "import", damaged, db=tmp_path / "x.db").stderr


ENDS = ("", "-wal", "-shm", "-journal", ".lock", ".admin", ".follower", ".archives/1.db", ".snapshots/1.snapshot")


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_companion_files_of_a_journal_are_refused(path: Path, end: str) -> None:
    """The path is refused even if the file does not exist at the moment."""
    for folder in (".archives", ".snapshots"):
        path.with_name(path.name + folder).mkdir()
    before, out = rows(path), Path(f"{path}{end}")
    commands = (("journal", "export", out), ("journal", "digests", "--out", out), ("journal", "backup", out))
    for command in (*commands, ("fork", "--at", 5, out)):
        with closing(sqlite3.connect(path)):  # which takes away what is left of SQLite's own files
            pass
        outcome = run(*command, db=path)
        said = "exists already" if out.exists() else f"is the name of a file that belongs to the journal {path}"
        assert (outcome.exit_code, said in outcome.stderr) == (1, True), (command, outcome.output)
        assert rows(path) == before


@pytest.mark.slow
@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_links_to_the_journal_are_refused(path: Path, tmp_path: Path, link: str) -> None:
    before, other = rows(path), tmp_path / "lines.jsonl"
    getattr(other, link)(path)
    for command in (("journal", "export", other), ("journal", "backup", other), ("fork", "--at", 5, other)):
        outcome = run(*command, db=path)
        assert (outcome.exit_code, "exists already" in outcome.stderr) == (1, True), outcome.output
    assert rows(path) == before


def test_leftovers_of_an_old_journal_are_refused(path: Path, tmp_path: Path) -> None:
    """SQLite would apply the -wal file of the old journal to the new one and damage it."""
    lines = tmp_path / "lines.jsonl"
    run("journal", "export", lines, db=path)
    for end in ("-wal", "-journal", ".snapshots", ".archives"):
        new, left = tmp_path / f"new{end}.db", tmp_path / f"new{end}.db{end}"
        left.write_bytes(b"old")
        for command, db in (
            (("journal", "import", lines), new),
            (("journal", "backup", new), path),
            (("fork", "--at", 5, new), path),
        ):
            outcome = run(*command, db=db)
            said = f"{left} is left over from an earlier journal at {new}"
            assert (outcome.exit_code, said in outcome.stderr) == (1, True), outcome.output
        assert not new.exists()


def test_failed_export_leaves_no_file(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl.gz"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER commands_are_never_changed")
        connection.execute("UPDATE commands SET payload = '{}' WHERE seq = 400")
    outcome = run("journal", "export", out, db=path)
    assert (outcome.exit_code, "seq 400 is damaged" in outcome.stderr) == (1, True)
    assert not out.exists()


def test_export_to_a_pipe(path: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with (tmp_path / "read").open("wb") as read, subprocess.Popen(["cat", str(pipe)], stdout=read):
        assert run("journal", "export", pipe, db=path).exit_code == 0
    assert (tmp_path / "read").read_text() == run("journal", "export", db=path).stdout
    assert pipe.is_fifo()


@pytest.mark.slow
def test_link_resolves_to_its_journal(path: Path, tmp_path: Path) -> None:
    """A link uses the lock and the archives of its target. Otherwise two exchanges could write to one journal."""
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(path)
    with JournalLock(path):
        for command in (("compact", "--before", 300), ("rebuild",)):
            outcome = run("journal", *command, db=link)
            assert (outcome.exit_code, "is in use by" in outcome.stderr) == (1, True), outcome.output
    whole = run("journal", "export", db=path).stdout
    assert run("journal", "compact", "--before", 300, db=link).exit_code == 0
    assert [file.name for file in link.parent.iterdir()] == [link.name]
    assert run("journal", "export", db=link).stdout == run("journal", "export", db=path).stdout == whole
    assert run("diff", link, path).exit_code == 0


@pytest.mark.slow
def test_backup_of_a_running_exchange_is_consistent(tmp_path: Path) -> None:
    path, copies = tmp_path / "exchange.db", [tmp_path / f"copy{n}.db" for n in range(3)]

    def trade(url: str, stop: asyncio.Event) -> None:
        with RunningExchange(url) as client:
            log_in(client, "alice")
            while not stop.is_set():
                client.call("private/buy", instrument_id=INSTRUMENT, amount=100, price=1_500_000)

    async def copy_while_trading() -> None:
        stop = asyncio.Event()
        async with server(path, "--rate-limit", "0") as (process, url):
            trading = asyncio.create_task(asyncio.to_thread(trade, url, stop))
            try:
                for copy in copies:
                    outcome = await asyncio.to_thread(run, "journal", "backup", copy, db=path)
                    assert outcome.exit_code == 0, outcome.output
            finally:
                stop.set()
                await trading
            process.kill()
            await process.wait()

    asyncio.run(copy_while_trading())
    whole = rows(path)[0]
    lengths = []
    for copy in copies:
        copied = rows(copy)[0]
        lengths.append(len(copied))
        assert copied == whole[: len(copied)]
        assert verify(copy, False, no_bar).damage is None
    assert lengths == sorted(lengths)

    async def start_on(copy: Path) -> None:
        async with server(copy) as (process, _):
            process.terminate()
            assert await process.wait() == 0

    asyncio.run(start_on(copies[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("seq", [1, 250, 300, COUNT])
def test_fork_has_the_same_past(path: Path, tmp_path: Path, seq: int) -> None:
    compact(path, 260, lambda s: None, no_bar)  # part of the past is in an archive
    before, new = rows(path), tmp_path / "fork.db"
    outcome = run("fork", "--at", seq, new, db=path)
    assert outcome.exit_code == 0, outcome.output
    assert rows(path) == before
    commands, events = rows(new)
    assert commands[:seq] == before[0][:seq]
    assert events == [row for row in before[1] if row[0] <= seq]
    assert json.loads(commands[-1].payload) == {
        "kind": "fork",
        "parent": "exchange.db",
        "parent_seq": seq,
        "parent_hash": commands[seq - 1].hash.hex(),
    }
    assert verify(new, False, no_bar).damage is None
    assert json.loads(run("journal", "info", "--json", db=new).stdout)["forked_from"]["parent_seq"] == seq
    assert f"exchange.db after its seq {seq}" in run("journal", "info", db=new).stdout
    assert digest_of(new) == digest_of(path, seq)


@pytest.mark.slow
@pytest.mark.parametrize("seq", [1, COUNT // 2, COUNT - 1, COUNT])
def test_both_ways_to_copy_a_journal_give_the_same(path: Path, tmp_path: Path, seq: int) -> None:
    """A copy of pages leaves nothing of the tail, and both have the triggers of a journal."""
    by_rows, by_pages = tmp_path / "rows.db", tmp_path / "pages.db"
    with new_journal(by_rows) as draft:
        copy_rows(draft, [path], seq)
    with new_journal(by_pages) as draft:
        copy_pages(draft, path, seq)
    dumps = []
    for file in (by_rows, by_pages):
        assert schema_faults(file) == []
        with closing(sqlite3.connect(file)) as connection:
            dumps.append(sorted(connection.iterdump()))
            assert connection.execute("SELECT max(seq) FROM commands").fetchone() == (seq,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert dumps[0] == dumps[1]


@pytest.mark.slow
def test_fork_with_missing_events(tmp_path: Path) -> None:
    path, new = tmp_path / "exchange.db", tmp_path / "fork.db"
    play(path, events_up_to=380)
    assert run("fork", "--at", 390, new, db=path).exit_code == 0
    verdict = verify(new, False, no_bar)
    assert verdict.damage is None


@pytest.mark.slow
def test_an_exchange_runs_on_a_fork(tmp_path: Path) -> None:
    path, new = tmp_path / "exchange.db", tmp_path / "fork.db"

    def buy(url: str) -> int:
        with RunningExchange(url) as client:
            log_in(client, "alice")
            return int(client.call("private/buy", instrument_id=INSTRUMENT, amount=100, price=1_500_000)["seq"])

    async def trade(on: Path) -> int:
        async with server(on) as (process, url):
            seq = await asyncio.to_thread(buy, url)
            process.terminate()
            await process.wait()
        return seq

    seq = asyncio.run(trade(path))
    assert run("fork", "--at", seq, new, db=path).exit_code == 0
    assert asyncio.run(trade(new)) > seq + 1
    found = json.loads(run("diff", path, new, "--json").stdout)
    assert (found["common_seq"], found["same"]) == (seq, False)


def test_failed_fork_leaves_no_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(forking, "copy_rows", fail)
    before = sorted(tmp_path.iterdir())
    outcome = run("fork", "--at", 5, tmp_path / "fork.db", db=path)
    assert (outcome.exit_code, "cannot be written (database or disk is full)" in outcome.stderr) == (1, True)
    assert [file for file in sorted(tmp_path.iterdir()) if file not in before and "exchange.db" not in file.name] == []


def make_other(tmp_path: Path, at_seq: int, **changes: Any) -> Path:
    """The same journal, except for one command."""
    steps = [(ts_us, command) for ts_us, command, _ in random_steps(3, COUNT)]
    ts_us, command = steps[at_seq - 1]
    steps[at_seq - 1] = (ts_us, msgspec.structs.replace(command, **changes))
    other = tmp_path / "other.db"
    write_journal(other, steps)
    return other


@pytest.mark.slow
def test_diff_names_the_command_its_fields_and_the_fills(path: Path, tmp_path: Path) -> None:
    ((seq,),) = ask_past(path, "SELECT max(placed_seq) FROM orders WHERE filled_milli > 0")
    other = make_other(tmp_path, seq, user_id="nobody")
    outcome = run("diff", path, other, "--json")
    found = json.loads(outcome.stdout)
    assert outcome.exit_code == 1
    assert (found["common_seq"], found["after_a"], found["after_b"]) == (seq - 1, COUNT - seq + 1, COUNT - seq + 1)
    assert list(found["fields"]) == ["user_id"]
    assert found["fields"]["user_id"][1] == "nobody"
    assert found["fills_only_in_a"]
    shown = run("diff", path, other).stdout
    assert f"seq {seq}" in shown
    assert "nobody" in shown
    assert "fills only in" in shown


@pytest.mark.slow
def test_diff_of_equal_longer_and_unrelated_journals(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    run("journal", "backup", copy, db=path)
    outcome = run("diff", path, copy)
    assert (outcome.exit_code, outcome.stdout) == (0, f"both have the same {COUNT} commands\n")
    longer = tmp_path / "longer.db"
    play(longer, seed=3, count=COUNT + 7)
    outcome = run("diff", path, longer)
    assert outcome.exit_code == 1
    assert f"7 commands after seq {COUNT}" in outcome.stdout
    assert f"{longer} continues after the end of the other journal" in outcome.stdout
    stranger = tmp_path / "stranger.db"
    play(stranger, seed=4)
    assert json.loads(run("diff", path, stranger, "--json").stdout)["common_seq"] == 0
    assert run("diff", path, tmp_path / "none.db").exit_code == 2
    (tmp_path / "text.db").write_text("no database" * 100)
    assert run("diff", path, tmp_path / "text.db").exit_code == 2


@pytest.mark.slow
def test_diff_compares_from_the_end_of_a_missing_archive(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    run("journal", "backup", copy, db=path)
    compact(copy, 100, lambda s: None, no_bar)
    archive_folder(copy).rename(tmp_path / "elsewhere")
    outcome = run("diff", path, copy)
    assert f"the same {COUNT - 99} commands" in outcome.stdout
    assert "compared from seq 100: one journal begins there" in outcome.stdout
    found = json.loads(run("diff", path, copy, "--json").stdout)
    assert (found["first_seq"], found["same"]) == (100, True)


@pytest.mark.slow
def test_diff_of_results_that_another_version_recorded(path: Path, tmp_path: Path) -> None:
    """The digests after the same command are compared: an equal one, then one that differs."""
    copy = tmp_path / "copy.db"
    run("journal", "backup", copy, db=path)
    for file, last in ((path, "aa"), (copy, "bb")):
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.executemany("INSERT INTO digests VALUES (?, 'events/2', ?)", [(100, "11"), (200, last)])
    outcome = run("diff", path, copy)
    assert outcome.exit_code == 1
    assert "the commands up to seq 200 are the same, but the digests of their results differ" in outcome.stdout
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("DELETE FROM digests WHERE seq = 200")
    outcome = run("diff", path, copy)
    assert (outcome.exit_code, outcome.stdout.splitlines()) == (
        0,
        [
            f"both have the same {COUNT} commands",
            "the exchanges recorded the same digests of their events up to seq 100",
        ],
    )


@pytest.mark.slow
def test_diff_finds_the_same_fills_in_a_history_and_by_a_replay(path: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer.db"
    play(longer, seed=3, count=COUNT + 50)
    replayed = json.loads(run("diff", path, longer, "--json").stdout)
    assert replayed["fills_only_in_b"]
    run("sql", "SELECT 1", db=longer)
    assert json.loads(run("diff", path, longer, "--json").stdout) == replayed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alteration", "common_seq", "fields"),
    [
        (
            "UPDATE commands SET payload = (SELECT payload FROM commands c WHERE c.seq = 401 - commands.seq) "
            "WHERE seq IN (200, 201)",
            199,
            None,
        ),
        ("UPDATE commands SET payload = payload || ' ' WHERE seq = 200", 199, ["payload", "hash"]),
        ("UPDATE commands SET payload = '[1]' WHERE seq = 200", 199, None),
        ("UPDATE commands SET payload = json_set(payload, '$.note', 'x') WHERE seq = 1", 0, ["note"]),
        ("UPDATE commands SET ts_us = ts_us + 1 WHERE seq = 200", 199, ["ts_us"]),
        ("UPDATE commands SET hash = zeroblob(32) WHERE seq = 200", 199, ["payload", "hash"]),
        ("DELETE FROM commands WHERE seq = 200", 199, None),
    ],
)
def test_diff_of_a_copy_that_was_altered(
    path: Path, tmp_path: Path, alteration: str, common_seq: int, fields: list[str] | None
) -> None:
    """The alteration is found although hashes and events of the copy are unchanged."""
    copy = tmp_path / "copy.db"
    run("journal", "backup", copy, db=path)
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for name in ("changed", "deleted"):
            connection.execute(f"DROP TRIGGER commands_are_never_{name}")
        connection.execute(alteration)
    outcome = run("diff", path, copy, "--json")
    assert outcome.exit_code == 1, outcome.output
    found = json.loads(outcome.stdout)
    assert (found["same"], found["common_seq"]) == (False, common_seq)
    assert (found["altered_a"], found["altered_b"]) == (False, True)
    assert fields is None or list(found["fields"]) == fields
    shown = run("diff", copy, path).stdout
    assert f"{copy}: seq {common_seq + 1} was altered after it was recorded" in shown


@pytest.mark.slow
@pytest.mark.parametrize(("every", "name"), [(1, "d.jsonl"), (50, "d.jsonl.gz")])
def test_bisect_finds_the_first_different_command(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int, name: str
) -> None:
    """Simulates a later version that carries out the third deposit differently."""
    digests = tmp_path / name
    assert run("journal", "digests", "--every", every, "--out", digests, db=path).exit_code == 0
    same = run("journal", "bisect", "--against", digests, db=path)
    assert (same.exit_code, same.stdout) == (0, "all digests are the same\n")
    with closing(sqlite3.connect(path)) as connection:
        deposits = connection.execute("SELECT seq FROM events WHERE kind = 'deposited' ORDER BY seq").fetchall()
    third, seen = deposits[2][0], [0]

    def differently(state: State, ts_us: int, command: Command) -> list[Event]:
        events = apply(state, ts_us, command)
        if isinstance(command, Deposit) and isinstance(events[0], Deposited):
            seen[0] += 1
            if seen[0] == 3:
                return [Deposited(command.user_id, command.amount_micros + 1), *events[1:]]
        return events

    monkeypatch.setattr("exchange.engine.engine.apply", differently)
    outcome = run("journal", "bisect", "--against", digests, db=path)
    assert outcome.exit_code == 1
    first = (third - 1) // every * every + 1
    assert f"seq {first} " in outcome.stdout
    if every == 1:
        assert '"kind":"deposit"' in outcome.stdout
    else:
        assert f"exchange journal digests --from {first} --to {first + every - 1}" in outcome.stdout


def test_malformed_digests_are_reported(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "d.jsonl"
    for text, message in (
        ("", "contains no digest"),
        ("nonsense\n", "line 1: "),
        ('{"from":1,"to":2,"events":"x"}\n{"from":5,"to":6,"events":"x"}\n', "line 2: "),
        (f'{{"from":1,"to":{COUNT + 1},"events":"x"}}\n', "it is of another journal"),
    ):
        file.write_text(text)
        outcome = run("journal", "bisect", "--against", file, db=path)
        assert (outcome.exit_code, message in outcome.stderr) == (2, True), outcome.output


@pytest.mark.slow
def test_fork_command_does_not_change_the_state(path: Path) -> None:
    engine = recover(path, lambda s: None, no_bar).engine
    before = digest(engine.state)
    (record,) = chain(engine.head, [(engine.head.ts_us + 1, encode_command(Fork("a.db", 5, "00")).decode())])
    engine.replay(record)
    assert digest(engine.state) == before
