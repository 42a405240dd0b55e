"""CPU time of mass quotes: both sides of 90 options in one command, against the same changes as single edits.

Every mass quote moves all 180 prices by a tick, up and down in turn, as a maker follows its index. The market is one of
rules version 2: each quote is checked against its band, and locks margin. The reference sends an edit for each side.
"""

import gc
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from benchmarks.scale import Scale
from benchmarks.table import NO_GOAL, Goal, Row, median
from exchange.domain.commands import (
    Command,
    EditOrder,
    Genesis,
    InstrumentQuote,
    MassQuote,
    OpenAccount,
    QuoteSide,
    SetIndexPrice,
    SetMmpConfig,
    encode_command,
)
from exchange.domain.rules import Market, Rules, Series
from exchange.engine.engine import Engine
from exchange.gateway.caller import Caller
from exchange.gateway.jsonrpc import encode
from exchange.gateway.limits import GatewayLimits
from exchange.gateway.methods import METHODS, Method
from exchange.gateway.quotas import ConnectionQuota
from exchange.journal.records import chain
from exchange.matching.apply import apply
from exchange.matching.book import OrderBook
from exchange.matching.state import State
from exchange.projections.fold import Change

OPTIONS = 90
MASS_QUOTES = 1_000
# A request takes no longer than half of the requests for its edits.
REQUEST_GOAL = Goal(ratio=2)
UNIT = "mass quotes/s"
START_US = 1_771_545_600_000_000
MAKER, GROUP = "maker", "all"


def run(scale: Scale) -> list[Row]:
    """The rows of the matcher alone, and of whole requests: all but the socket and the disk."""
    count = max(20, int(MASS_QUOTES * scale.share))
    rows = []
    for name, measure, goal in (("matcher", _matcher_seconds, NO_GOAL), ("request", _request_seconds, REQUEST_GOAL)):
        ours = [measure(count, _mass_quotes) for _ in range(scale.rounds)]
        edits = [measure(count, _edits) for _ in range(scale.rounds)]
        note = f"{1e3 * median(ours) / count:.2f} ms each, {1e6 * median(ours) / count / OPTIONS / 2:.1f} µs a side"
        figures = count / median(ours), UNIT, count / median(edits), "180 edits each"
        rows.append(Row(f"mass-quotes, {name}", *figures, goal, note))
    return rows


def opening() -> list[Command]:
    """The commands that list 90 options, and open the maker's account."""
    strikes = OPTIONS // 4
    market = Market(series=(Series("SOL", 1, strikes, dailies=1, weeklies=0, monthlies=0),), index_age_max_s=0)
    return [
        Genesis(Rules(market=market, open_orders_max=10_000), 2),
        SetIndexPrice("SOL", 150_000_000),
        OpenAccount(MAKER, 2**52),
        SetMmpConfig(MAKER, GROUP, "SOL", 60, 60, 2**50),
    ]


def mass_quote(books: Iterable[OrderBook], number: int) -> MassQuote:
    """Quotes one tick around the mark, or two ticks, in turn."""
    quotes = []
    for book in books:
        tick, mark = book.tick_micros, book.mark_micros
        assert mark is not None, "an option without a mark"
        middle = max(mark // tick, 4) * tick + number % 2 * tick
        sides = QuoteSide(middle - 2 * tick, 1_000), QuoteSide(middle + tick, 1_000)
        quotes.append(InstrumentQuote(book.instrument_id, *sides))
    return MassQuote(MAKER, GROUP, str(number), quotes, connection=1)


def _mass_quotes(books: list[OrderBook], count: int) -> list[Command]:
    return [mass_quote(books, number) for number in range(1, count + 1)]


def _edits(books: list[OrderBook], count: int) -> list[Command]:
    """The same changes, one by one. The first mass quote placed a bid and an ask in each book, in their order."""
    commands: list[Command] = []
    for number in range(1, count + 1):
        for place, quote in enumerate(mass_quote(books, number).quotes):
            for side, order_id in ((quote.bid, 2 * place + 1), (quote.ask, 2 * place + 2)):
                assert isinstance(side, QuoteSide), "a quote without a side"
                commands.append(EditOrder(MAKER, order_id, price_micros=side.price_micros))
    return commands


def _matcher_seconds(count: int, make: Callable[[list[OrderBook], int], list[Command]]) -> float:
    state = State()
    for command in opening():
        apply(state, START_US, command)
    books = _books(state)
    apply(state, START_US, mass_quote(books, 0))
    commands = make(books, count)

    def work() -> None:
        for command in commands:
            apply(state, START_US, command)

    return _seconds(work)


def _request_seconds(count: int, make: Callable[[list[OrderBook], int], list[Command]]) -> float:
    """From the parameters of a request to its answer: decoded, made a command, hashed, applied, projected, encoded."""
    engine = Engine()
    for command in opening():
        _step(engine, command)
    books = _books(engine.state)
    _step(engine, mass_quote(books, 0))
    requests = [_request_of(command) for command in make(books, count)]
    caller = cast(Caller, _LocalCaller(engine))

    def work() -> None:
        for method, text in requests:
            assert method.answer is not None, "a command without an answer"
            change = _step(engine, method.handle(caller, method.decode(text)))
            assert not change.refused_quotes and change.refused is None, "a quote was refused"
            encode(method.answer(caller, change))

    return _seconds(work)


class _LocalCaller:
    """The parts of a caller that these methods need."""

    def __init__(self, engine: Engine) -> None:
        self.views = engine.views
        self.user_id = MAKER
        self.connection = SimpleNamespace(order_mark=1)
        self.quota = ConnectionQuota(GatewayLimits(), lambda: START_US)


def _request_of(command: Command) -> tuple[Method, msgspec.Raw]:
    if isinstance(command, EditOrder):
        params: dict[str, Any] = {"order_id": command.order_id, "price": command.price_micros}
        return METHODS["private/edit"], msgspec.Raw(encode(params))
    assert isinstance(command, MassQuote), "another command"
    sides = ("bid", "ask")
    quotes = [
        {"instrument_id": it.instrument_id, **{side: _side_of(getattr(it, side)) for side in sides}}
        for it in command.quotes
    ]
    params = {"mmp_group": GROUP, "quote_id": command.quote_id, "quotes": quotes}
    return METHODS["private/mass_quote"], msgspec.Raw(encode(params))


def _side_of(side: QuoteSide) -> dict[str, int | None]:
    return {"price": side.price_micros, "amount": side.size_milli}


def _books(state: State) -> list[OrderBook]:
    books = list(state.live["SOL"].values())[:OPTIONS]
    assert len(books) == OPTIONS, f"{len(books)} options are listed"
    return books


def _step(engine: Engine, command: Command) -> Change:
    """Apply a command with its text and its hash."""
    (record,) = chain(engine.head, [(START_US + engine.head.seq, encode_command(command).decode())])
    return engine.step(record, command)[1]


def _seconds(work: Callable[[], None]) -> float:
    """CPU seconds, with the garbage collector at rest."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()
