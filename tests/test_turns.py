"""Turns: the connection that worked least goes first, and no connection keeps the others waiting."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.gateway import turns
from exchange.gateway.limits import CROWDED_UNANSWERED, FRAME_MAX
from exchange.gateway.turns import Turns
from tests.wire import TEXT, exchange, frame_bytes, request, unread_of


class Taker:
    """A connection with a number of pieces of work, one for each turn."""

    def __init__(self, name: str, log: list[str], pieces: int, worked_seconds: float = 0.0) -> None:
        self.unanswered = 0
        self.worked_seconds = worked_seconds
        self.fault: Exception | None = None
        self._name, self._log, self._pieces = name, log, pieces

    def note_work(self, seconds: float) -> None:
        pass

    def take_turn(self, _ends_seconds: float) -> bool:
        self._log.append(self._name)
        if self.fault is not None:
            raise self.fault
        self._pieces -= 1
        return self._pieces > 0


@pytest.fixture
def log() -> list[str]:
    return []


async def is_pass_left(served: Turns) -> bool:
    """True if another pass follows, after a turn of the event loop."""
    await asyncio.sleep(0)
    return bool(served._ready)


async def run_all(served: Turns) -> None:
    passes_left = 100
    while await is_pass_left(served):
        passes_left -= 1
        assert passes_left, "the turns never end"


def passes(log: list[str], is_crowded: Callable[[], bool] = lambda: False) -> Turns:
    """The turns, which note the end of each pass as a dot."""
    return Turns(is_crowded, lambda: log.append("."))


def test_the_connection_that_worked_least_goes_first(log: list[str]) -> None:
    async def conversation() -> None:
        served = passes(log)
        for taker in (Taker("busy", log, 2, 1.0), Taker("quiet", log, 1), Taker("medium", log, 1, 0.5)):
            served.add(taker)
        await run_all(served)

    asyncio.run(conversation())
    assert log == ["quiet", "medium", "busy", ".", "busy", "."]


def test_a_pass_ends_and_the_event_loop_goes_on(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PASS_SECONDS", 0)

    async def conversation() -> None:
        served = passes(log)
        served.add(Taker("a", log, 2))
        served.add(Taker("b", log, 1, 1.0))
        await run_all(served)

    asyncio.run(conversation())
    assert log == ["a", ".", "a", ".", "b", "."]


def test_a_pass_ends_with_the_first_turn_that_leaves_work_behind(log: list[str]) -> None:
    async def conversation() -> None:
        served = passes(log)
        served.add(Taker("flooding", log, 2, 2.0))
        served.add(Taker("flooding too", log, 2, 3.0))
        served.add(Taker("good", log, 1, 1.0))
        await is_pass_left(served)
        served.add(Taker("good", log, 1, 1.0))
        await run_all(served)

    asyncio.run(conversation())
    assert log == ["good", "flooding", ".", "good", "flooding", "flooding too", ".", "flooding too", "."]


def test_a_connection_with_many_unanswered_requests_waits_for_the_batch(log: list[str]) -> None:
    async def conversation() -> None:
        is_crowded = True
        served = passes(log, lambda: is_crowded)
        flooding, other = Taker("flooding", log, 1), Taker("other", log, 1)
        flooding.unanswered, other.unanswered = CROWDED_UNANSWERED + 1, CROWDED_UNANSWERED
        served.add(flooding)
        served.add(other)
        await run_all(served)
        served.add(flooding)
        assert log == ["other", "."] and not served._ready
        is_crowded = False
        served.on_batch()
        await run_all(served)

    asyncio.run(conversation())
    assert log == ["other", ".", "flooding", "."]


def test_a_closed_connection_has_no_turn(log: list[str]) -> None:
    async def conversation() -> None:
        served = passes(log)
        gone = Taker("gone", log, 1)
        served.add(gone)
        served.remove(gone)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(conversation())
    assert log == ["."]


def test_a_turn_that_fails_takes_no_turn_from_others(log: list[str]) -> None:
    async def conversation() -> list[str]:
        faults: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: faults.append(str(context["exception"]))
        )
        served = passes(log)
        failing, other = Taker("failing", log, 2), Taker("other", log, 1, 1.0)
        failing.fault = AssertionError("a fault")
        served.add(failing)
        served.add(other)
        await run_all(served)
        return faults

    assert asyncio.run(conversation()) == ["a fault"]
    assert log == ["failing", ".", "other", "."]


GARBAGE = frame_bytes(TEXT, b"")
BATCH = b"[" + b",".join([request("public/get_instruments").encode()] * 100) + b"]"


@pytest.mark.parametrize("frames", [GARBAGE * 5_000, frame_bytes(TEXT, BATCH) * 8], ids=["garbage", "batches"])
def test_one_large_read_is_worked_off_in_many_turns(
    tmp_path: Path, frames: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding and refusing count: another client is answered while most of the read waits."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    monkeypatch.setattr(turns, "PASS_SECONDS", 0)
    assert len(frames) < FRAME_MAX

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            good, bad = await server.client("alice"), await server.client("bob")
            for connection in server.node.gateway._connections:
                connection.turn.worked_seconds = 0.0
            bad.writer.write(frames)
            await bad.frame()
            assert "result" in await good.ask("public/test")
            left = [one for one in server.node.gateway._connections if unread_of(one) or one.unanswered]
            assert len(left) == 1, "the other client had to wait until the whole read was worked off"
            bad.writer.transport.abort()

    asyncio.run(conversation())
