"""Under an alarm the history ends at the last command whose digests matched, and says so."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from exchange.cli.main import main
from exchange.engine.alarm import Alarm, raise_alarm, standing_alarm
from exchange.engine.digests import EVENTS_SUBJECT
from exchange.engine.engine import STATE_SUBJECT, Engine
from exchange.history_db.file import alarm_of, head_of, history_path, open_history
from exchange.history_db.update import end_history, open_fitting_writer, update_history
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.records import DigestRow
from exchange.runtime.follower import DIVERGED, DivergedError, Follower, read_status
from tests.journals import COMMANDS, play

MATCHING = (100, 200)
FORGED = 300


class Original(NamedTuple):
    """A journal with a complete history, and its true digests by seq."""

    path: Path
    digests: dict[int, list[DigestRow]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    made = Original(tmp_path_factory.mktemp("original") / "exchange.db", {})

    def see(engine: Engine) -> None:
        if (seq := engine.head.seq) in (*MATCHING, FORGED):
            made.digests[seq] = [*engine.events_digest.rows(), (seq, STATE_SUBJECT, engine.digest())]

    play(made.path, seen=see)
    update(made.path)
    assert head(made.path) == COMMANDS
    forged = [(FORGED, EVENTS_SUBJECT, made.digests[FORGED][0][2]), (FORGED, STATE_SUBJECT, "0" * 64)]
    asyncio.run(record(made.path, [row for seq in MATCHING for row in made.digests[seq]] + forged))
    return made


@pytest.fixture
def path(original: Original, tmp_path: Path) -> Path:
    """A copy, whose digests were not compared yet. The one at seq 300 is forged."""
    for file in (original.path, history_path(original.path)):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / "exchange.db"


async def record(path: Path, rows: list[DigestRow]) -> None:
    journal = await open_journal_writer(path)
    await journal.append_digests(rows)
    await journal.close()


def update(path: Path) -> list[str]:
    said: list[str] = []
    update_history(path, said.append, lambda done, total: None)
    return said


def head(path: Path) -> int:
    with closing(open_history(path)) as connection:
        return head_of(connection).seq


def alarm_in(path: Path) -> str | None:
    with closing(open_history(path)) as connection:
        return alarm_of(connection)


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--db", str(path)])


def follow(path: Path) -> Follower:
    with open_journal_reader(path) as reader, closing(open_fitting_writer(reader, print)) as history:
        follower = Follower(path, 0, print, history=history)
        while follower.catch_up(reader):
            pass
    return follower


@pytest.mark.long
def test_the_follower_cuts_the_history_behind_the_last_digest_that_matched(path: Path) -> None:
    """Although one of the two digests at seq 300 matches."""
    with running_follower(path) as process:
        _, errors = process.communicate()
    assert process.returncode == DIVERGED, errors
    expected = "the history ends at seq 200 because of an alarm: up to seq 300 the exchange was in another state"
    assert expected in errors
    assert head(path) == 200
    assert expected in (alarm_in(path) or "")


@pytest.mark.long
def test_a_running_follower_ends_at_an_alarm_that_another_process_raised(path: Path) -> None:
    """`exchange follow --once` compares digests that the running follower did not."""
    forget_the_forged(path)
    raise_alarm(path, Alarm(FORGED, "the digests differ", compared_seq=100))
    with running_follower(path) as process:
        _, errors = process.communicate()
    assert (process.returncode, head(path)) == (DIVERGED, 100), errors


def running_follower(path: Path) -> subprocess.Popen[str]:
    """The process of a follower that saves no snapshots, with this process in the place of the exchange."""
    arguments = (sys.executable, "-m", "exchange.runtime.follower", str(path), "0", "0", str(os.getpid()))
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)


def forget_the_forged(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM digests WHERE seq = ?", (FORGED,))


@pytest.mark.slow
def test_commands_say_that_an_alarm_ended_the_history(path: Path) -> None:
    with pytest.raises(DivergedError):
        follow(path)
    expected = "the history ends at seq 200 because of an alarm: up to seq 300"
    outcome = run(path, "sql", "--csv", "SELECT count(*) AS commands FROM commands")
    assert (outcome.exit_code, outcome.stdout, expected in outcome.stderr) == (0, "commands\n200\n", True)
    assert "the process that writes" not in outcome.stderr
    with closing(sqlite3.connect(path.with_name("exchange.history.db"))) as connection:
        ((value,),) = connection.execute("SELECT value FROM about WHERE name = 'alarm'")
    assert expected in value
    outcome = run(path, "sql", "SELECT balance_at(201, 'alice')")
    assert (outcome.exit_code, f"it holds seq 1 to 200; {expected}" in outcome.stderr) == (1, True)
    # A replay gives this state.
    assert expected in run(path, "state", "--at", "201").stderr
    assert f"ALARM: {expected}" in run(path, "history", "datasette").stdout


@pytest.mark.parametrize("is_repaired", (False, True))
def test_after_an_alarm_the_history_goes_on(path: Path, original: Original, is_repaired: bool) -> None:
    with pytest.raises(DivergedError):
        follow(path)
    end_history(path, print)
    assert (head(path), alarm_in(path) is None) == (200, False)
    if is_repaired:
        (_, _, state) = original.digests[FORGED][1]
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE digests SET digest = ? WHERE digest = ?", (state, "0" * 64))
        assert "the alarm for seq 300 is removed" in run(path, "follow", "--once").stdout
    else:
        run(path, "follow", "--dismiss")
    assert update(path) == []
    assert (head(path), alarm_in(path)) == (COMMANDS, None)


def test_an_earlier_follower_has_compared_too(path: Path) -> None:
    """A follower that begins after the last digest that matched knows it from the status file."""
    forget_the_forged(path)
    follow(path).write_status()
    run(path, "snapshot", "create", "--at", "250")
    run(path, "snapshot", "create", "--at", "260")
    asyncio.run(record(path, [(FORGED, STATE_SUBJECT, "0" * 64)]))
    with pytest.raises(DivergedError):
        follow(path)
    alarm = standing_alarm(path)
    assert alarm is not None
    assert (alarm.seq, alarm.compared_seq) == (300, 200)


def test_a_digest_that_the_follower_did_not_compute_is_not_compared(path: Path) -> None:
    asyncio.run(record(path, [(350, "state/999", "0" * 64), (360, STATE_SUBJECT, "0" * 64)]))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM digests WHERE seq IN (300, 360)")
    follower = follow(path)
    follower.write_status()
    status = read_status(path)
    assert status is not None
    assert (follower.compared_seq, status.compared_seq) == (200, 200)
