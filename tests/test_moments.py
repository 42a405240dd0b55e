"""The exchange at any moment of a journal, by seq or by time, is the same as it was live."""

from pathlib import Path
from random import Random

import pytest

from exchange.engine.engine import Engine
from exchange.history.moment import Moment, UnknownMomentError, engine_at, seq_at
from exchange.journal.opening import open_journal_reader
from exchange.matching.state_codec import digest
from exchange.projections.views_codec import encode_views
from tests.cli_support import exchange, said
from tests.journals import play


@pytest.mark.long
def test_every_moment_equals_the_live_state(tmp_path: Path) -> None:
    """The moment is given by seq, by the time of the command, and by a time before the next command."""
    path = tmp_path / "exchange.db"
    live: list[tuple[int, str, bytes]] = [(0, "", b"")]
    play(
        path,
        seed=7,
        count=1_000,
        snapshots_at=tuple(range(100, 1_000, 100)),
        seen=lambda engine: live.append(_image(engine)),
    )
    random = Random(7)
    for seq in [1, 1_000, *random.sample(range(1, 1_001), 198)]:
        ts_us = live[seq][0]
        next_us = live[seq + 1][0] if seq < 1_000 else ts_us + 2
        for moment in (Moment(seq), Moment(ts_us=ts_us), Moment(ts_us=random.randrange(ts_us, next_us))):
            assert _image(engine_at(path, moment, lambda done, total: None)) == live[seq]


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (Moment(0), "no seq 0 in .*: it holds seq 1 to 400"),
        (Moment(401), "no seq 401 in .*: it holds seq 1 to 400"),
        (Moment(ts_us=1), "begins after that time: its first command is seq 1"),
    ],
)
def test_unknown_moments_are_refused(tmp_path: Path, moment: Moment, message: str) -> None:
    path = tmp_path / "exchange.db"
    play(path)
    with open_journal_reader(path) as reader, pytest.raises(UnknownMomentError, match=message):
        seq_at(reader, moment)


def test_an_empty_moment_means_now(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    play(path)
    with open_journal_reader(path) as reader:
        assert seq_at(reader, Moment()) == 400
        assert seq_at(reader, Moment(ts_us=2**62)) == 400


@pytest.mark.parametrize("command", [("state", "--at"), ("journal", "export", "--to"), ("snapshot", "create", "--at")])
def test_a_time_after_the_end_says_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    """`now` is a time after the end, too, but it cannot be a mistake."""
    path = tmp_path / "exchange.db"
    play(path)
    late = exchange(*command, "2031-01-01", "--db", path)
    assert late.exit_code == 0
    assert late.stderr.startswith(f"{path} ends before 2031-01-01T00:00:00Z: its last command is seq 400, at 2026-")
    assert said(exchange(*command, "now", "--db", path)) == said(exchange(*command, "400", "--db", path)) == late.stdout


def _image(engine: Engine) -> tuple[int, str, bytes]:
    return engine.head.ts_us, digest(engine.state), encode_views(engine.views)
