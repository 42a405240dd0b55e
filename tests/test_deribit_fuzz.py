"""Fuzzing of Deribit's dialect: no frame makes the exchange fail, or hold another state than a replay."""

import asyncio
import secrets
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest

from exchange.gateway.deribit.dialect import DeribitDialects
from exchange.gateway.deribit.errors import ERRORS, error_of
from exchange.gateway.error_kinds import ERROR_KINDS
from exchange.gateway.methods import METHODS
from exchange.gateway.session import Session
from exchange.past.answers import PastAnswers
from tests.frames import CALL, PUT, FrameMaker
from tests.fuzzed_exchange import (
    FRAMES_OF_AN_EXCHANGE,
    RECOVERY,
    FuzzedExchange,
    check_replay,
    no_unexpected_log,
    past_of_the_market,
)

SOAKED_FRAMES = 200_000
USERS = ("alice", "bob", "")
CODES = {error.code for error in ERRORS.values()} | {error_of(reason).code for reason in ERROR_KINDS}
_TIMES = {"start_timestamp": 1_771_500_000_000, "end_timestamp": 1_771_600_000_000}
_VALUES: dict[str, Any] = {
    "instrument_name": CALL,
    "currency": "USDC",
    "kind": "option",
    "index_name": "sol_usdc",
    "amount": 1,
    "price": 1.5,
    "order_id": "3",
    "label": "a",
    "type": "limit",
    "channels": [
        f"book.{CALL}.raw",
        "user.changes.any.any.raw",
        f"trades.{CALL}.100ms",
        f"incremental_ticker.{CALL}.raw",
        "user.mmp_trigger.sol_usdc",
        "instrument.state.any.any",
        "markprice.options.sol_usdc",
        "estimated_expiration_price.sol_usdc",
        "platform_state",
    ],
    "interval": 30,
    "client_name": "a",
    "client_version": "1",
    "grant_type": "client_credentials",
    "client_id": "alice",
    "resolution": "1",
    "refresh_token": "a",
    "access_token": "a",
    "session_name": "a",
    "subject_id": 1,
    "mmp_group": "g",
    "quote_id": "q",
    "quotes": [{"instrument_name": CALL, "quote_set_id": "x", "bid": {"price": 1.4, "amount": 1}}],
    "detailed": True,
    "cancel_type": "all",
    "currency_pair": "sol_usdc",
    "min_delta": -1,
    "max_delta": 1,
    "frozen_time": 0,
    "quantity_limit": 2,
    "ids": ["1", "3"],
    "count": 2,
    "offset": 1,
    "start_seq": 1,
    "end_id": "9",
    "continuation": "7",
    "extended": True,
    "with_portfolio": True,
    "with_open_orders": True,
    "simulated_positions": {CALL: 1},
    "instrument_id": 7,
    **_TIMES,
}


class DeribitFrames(FrameMaker):
    """Frames with Deribit's methods and their parameters."""

    def __init__(self, random: Random, dialects: DeribitDialects) -> None:
        super().__init__(random)
        self._golden = {"": [b'{"id":1,"method":"public/nothing"}']}
        for name, method in dialects.of_websocket.methods.items():
            fields = [field for field in method.params.__struct_fields__ if field in _VALUES]
            params = {field: _VALUES[field] for field in fields}
            whole = {"jsonrpc": "2.0", "id": 1, "method": name, "params": params}
            # With all parameters, and with each one alone left out.
            parts = [{key: params[key] for key in params if key != left} for left in ("", *fields)]
            self._golden[name] = [msgspec.json.encode(whole | {"params": part}) for part in parts]
        self._methods = sorted(self._golden)

    def _order(self) -> bytes:
        random = self.random
        params: dict[str, Any] = {"instrument_name": random.choice((CALL, CALL, PUT))}
        params |= {"amount": random.choice((0.1, 1, 2.5)), "price": random.choice((1.49, 1.5, 1.51, 30, 1.505))}
        more: tuple[dict[str, Any], ...] = (
            {},
            {},
            {"type": "market"},
            {"post_only": True},
            {"reduce_only": True},
            {"time_in_force": "fill_or_kill"},
            {"type": "stop_limit", "trigger": "last_price", "trigger_price": 1.4},
            {"display_amount": 10, "amount": 50},
            {"label": "a"},
        )
        method = random.choice(("private/buy", "private/sell"))
        return msgspec.json.encode({"id": 1, "method": method, "params": params | random.choice(more)})


@pytest.fixture(scope="module")
def past() -> Iterator[PastAnswers]:
    with past_of_the_market() as answers:
        yield answers


def fuzz_many(first_seed: int, exchanges: int, past: PastAnswers) -> int:
    """Fuzz so many exchanges one after another. Returns the number of answers."""
    answers = 0
    with no_unexpected_log():
        for seed in range(first_seed, first_seed + exchanges):
            try:
                answers += asyncio.run(_fuzz(Random(seed), FRAMES_OF_AN_EXCHANGE, past))
            except BaseException:
                print(f"seed {seed}, {FRAMES_OF_AN_EXCHANGE} frames")  # noqa: T201
                raise
    return answers


async def _fuzz(random: Random, frames: int, past: PastAnswers) -> int:
    exchange = FuzzedExchange(past)
    await exchange.open_market()
    dialects = DeribitDialects(METHODS, exchange.now_us)
    maker, answers, recorded = DeribitFrames(random, dialects), 0, exchange.journal.head.seq
    sessions: list[tuple[Session, list[bytes], list[str]]] = []
    for user_id in USERS:
        texts: list[bytes] = []
        reasons: list[str] = []
        session = Session(exchange, dialects.of_websocket, exchange.subscriptions, texts.append, reasons.append)
        sessions.append((session, texts, reasons))
        if user_id:
            params = {"grant_type": "client_credentials", "client_id": user_id}
            session.receive(msgspec.json.encode({"id": 0, "method": "public/auth", "params": params}))
    for _ in range(frames):
        session, _, _ = random.choice(sessions)
        session.receive(maker.frame().decode(errors="ignore").encode())
        if random.random() < 0.2:
            await exchange.settle()
            exchange.clock.ts_us += random.choice((0, 1, 1_000, 1_000_000))
            for _, texts, _ in sessions:
                answers += sum(map(_check, texts))
                texts.clear()
        if random.random() < 0.02:
            for text in RECOVERY:
                exchange.connections[2].send(text)
    # The exchange waits for its own connections only.
    for _ in range(1_000):
        if not any(session.unanswered for session, _, _ in sessions):
            break
        await asyncio.sleep(0)
        await exchange.settle()
    for session, texts, _ in sessions:
        answers += sum(map(_check, texts))
        assert session.unanswered == 0
        session.close()
    await exchange.stop()
    assert exchange.journal.head.seq - recorded > frames // 20, "hardly any frame reached the state machine"
    check_replay(exchange)
    return answers


def _check(text: bytes) -> int:
    """Check a message. Returns the number of answers in it."""
    message = msgspec.json.decode(text)
    if isinstance(message, list):
        return sum(_check(msgspec.json.encode(one)) for one in message)
    if "method" in message:
        assert message["params"]["channel"] and "data" in message["params"]
        return 0
    assert message["usDiff"] == message["usOut"] - message["usIn"] >= 0
    if "error" in message:
        error = message["error"]
        assert error["code"] in CODES and error["data"]["reason"], error
        # Only a client that asks for an exception gets one.
        assert error["code"] != -32603 or "asked for an exception" in error["data"]["reason"], error
    else:
        assert "result" in message
    return 1


@pytest.mark.slow
def test_no_frame_breaks_the_dialect(past: PastAnswers) -> None:
    assert fuzz_many(0, 3, past) > 1_000


@pytest.mark.soak
def test_no_frame_of_many_breaks_the_dialect(past: PastAnswers) -> None:
    fuzz_many(secrets.randbelow(2**32), SOAKED_FRAMES // FRAMES_OF_AN_EXCHANGE, past)
