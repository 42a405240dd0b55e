"""Random command streams with mass quotes and market maker protection, on top of those with all types of orders."""

from collections.abc import Iterator
from random import Random

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from exchange.domain.commands import (
    CancelAll,
    CancelQuotes,
    Command,
    Deposit,
    Disconnect,
    InstrumentQuote,
    MassQuote,
    PlaceOrder,
    PlaceTriggerOrder,
    QuoteSide,
    ResetMmp,
    SetCancelOnDisconnect,
    SetMmpConfig,
)
from exchange.domain.events import Event, OrderAccepted
from tests.market_commands import FairMarketCommands
from tests.naive import NaiveExchange
from tests.naive_quotes import resting as quotes_of
from tests.order_commands import OrderCommands
from tests.random_commands import USERS, Step

GROUPS = ("near", "far", "third")
SETS = ("", "front", "back")


def quote_steps(seed: int, count: int) -> Iterator[Step]:
    """Yield the first `count` commands of the stream of `seed`, with the naive exchange's events."""
    naive = NaiveExchange()
    source = QuoteMarketCommands(seed, naive) if seed % 2 else QuoteCommands(seed, naive)
    for _ in range(count):
        command = source.next_command()
        events = naive.apply(source.ts_us, command)
        source.observe(events)
        yield Step(source.ts_us, command, events)


class QuoteCommands(OrderCommands):
    """A stream in which three of the users quote."""

    def __init__(self, seed: int, naive: NaiveExchange) -> None:
        super().__init__(seed, naive)
        self.quoting = Random(f"quotes {seed}")
        self.has_many_groups = not self.quoting.randrange(6)
        # Enough to quote in some streams; in the others, quotes are refused for lack of cash, too.
        if self.quoting.randrange(3):
            self.queue += [Deposit(user_id, 10**10) for user_id in USERS]

    def next_command(self) -> Command:
        """Return the next command, and advance `ts_us`."""
        command = super().next_command()
        one_in = self.quoting.randrange
        if isinstance(command, PlaceOrder) and self.live and not one_in(3):
            command = self._quotes(command)
        elif isinstance(command, CancelAll) or (isinstance(command, Deposit) and not one_in(2)):
            command = self._cancel_quotes(command.user_id)
        elif isinstance(command, SetCancelOnDisconnect):
            command = self._switched(command)
        elif isinstance(command, Disconnect) and one_in(2):
            command = replace(command, connection=1 + one_in(3))
        if isinstance(command, PlaceOrder | PlaceTriggerOrder | MassQuote) and not one_in(4):
            command = replace(command, connection=1 + one_in(3))
        self.last = command
        return command

    def observe(self, events: list[Event]) -> None:
        """Note the orders of mass quotes as if they were placed one by one."""
        if not isinstance(self.last, MassQuote):
            super().observe(events)
            return
        quotes = self.last
        for event in events:
            if isinstance(event, OrderAccepted) and event.trigger_order_id is UNSET:
                terms = (event.side, event.type, event.time_in_force, event.price_micros, event.size_milli)
                self.last = PlaceOrder(event.user_id, event.instrument_id, *terms, event.post_only)
            super().observe([event])
        self.last = quotes

    def _switched(self, command: SetCancelOnDisconnect) -> SetCancelOnDisconnect:
        """Switch cancel-on-disconnect for all orders, or for those of a connection."""
        what = self.quoting.randrange(4)
        if what == 0:
            return replace(command, enabled=True)
        if what == 1:
            return replace(command, connection=1 + self.quoting.randrange(3))
        return replace(command, released=1 + self.quoting.randrange(3)) if what == 2 else command

    def _quotes(self, order: PlaceOrder) -> Command:
        """Return a mass quote of the order's user; sometimes what it needs, or what follows it."""
        user_id, choose, one_in = order.user_id, self.quoting.choice, self.quoting.randrange
        if self.has_many_groups and not one_in(3):
            return SetMmpConfig("alice", f"more{one_in(24)}", choose(("SOL", "BTC")), 60, 0, 1_000)
        known = [name for owner, name in self.naive.mmp_groups if owner == user_id]
        user = self.naive.users.get(user_id)
        if user is not None and not user.cancel_on_disconnect and one_in(8):
            return SetCancelOnDisconnect(user_id, True)
        if not known or not one_in(15):
            return self._config(user_id)
        quoting = [name for name in known if quotes_of(self.naive, user_id, name)]
        if quoting and not one_in(40):
            # Without a group its resting quotes are cancelled.
            return replace(self.naive.mmp_groups[user_id, choose(quoting)].config, interval_s=0)
        name = choose(known) if one_in(30) else choose(GROUPS)
        frozen = user_id in self.naive.users and name in known and self.naive.mmp_groups[user_id, name].frozen
        if not one_in(40) or (frozen is not None and frozen is not False and not one_in(3)):
            return ResetMmp(user_id, name)
        group = self.naive.mmp_groups.get((user_id, name))
        live = [it for it in self.live if group is None or it.startswith(f"{group.config.asset}_") or not one_in(15)]
        self.quoting.shuffle(live)
        instruments = live[: 1 + one_in(4)]
        if not one_in(25):
            instruments.append(choose(("SOL_USDC-28FEB26-777-C", *instruments)))
        quotes = [self._quote(instrument_id) for instrument_id in instruments]
        if not one_in(200):
            quotes = []
        return MassQuote(user_id, name, f"q{one_in(100)}", quotes)

    def _config(self, user_id: str) -> SetMmpConfig:
        choose, one_in = self.quoting.choice, self.quoting.randrange
        name = choose(GROUPS) if one_in(20) else f"more{one_in(30)}"
        limits: list[int | UnsetType] = [UNSET, UNSET, UNSET]
        limits[0] = choose((500, 2_000, 5_000, 20_000))
        if self.naive.has_fair_market or not one_in(8):
            limits[1] = choose((UNSET, 200, 500, 2_000))
            limits[2] = choose((UNSET, 50, 300, 10_000))
            if one_in(2):
                limits[0] = UNSET
        if not one_in(12):
            limits[one_in(3)] = choose((0, -1, UNSET))
        asset = choose(("SOL", "SOL", "BTC")) if one_in(30) else "XRP"
        interval_s = choose((1, 60, 600, 3_600)) if one_in(5) else choose((0, 0, 0, 3_601, -1))
        return SetMmpConfig(user_id, name, asset, interval_s, choose((0, 1, 60, 600, 3_600)), *limits)

    def _quote(self, instrument_id: str) -> InstrumentQuote:
        choose, one_in = self.quoting.choice, self.quoting.randrange
        instrument = self.naive.instruments.get(instrument_id)
        tick = 100_000 if instrument is None else instrument.tick
        middle = self._middle(instrument_id)
        spread = choose((1, 1, 2, 4)) * tick
        bid = max(tick, (middle - spread) // tick * tick + choose((-1, 0, 0, 1)) * tick)
        ask = bid + choose((1, 2, 3)) * spread if one_in(40) else bid
        bid_side: QuoteSide | UnsetType = QuoteSide(bid, self._open_size(), not one_in(6))
        ask_side: QuoteSide | UnsetType = QuoteSide(ask, self._open_size(), not one_in(6))
        if not one_in(6):
            bid_side = UNSET
        elif not one_in(6):
            ask_side = UNSET
        if not one_in(40):
            bid_side = ask_side = UNSET
        return InstrumentQuote(
            instrument_id, bid_side, ask_side, choose((UNSET, *SETS[1:])) if not one_in(3) else UNSET
        )

    def _middle(self, instrument_id: str) -> int:
        """Return about the price at which the instrument trades."""
        mine = [it.price for it in self.naive.orders if it.instrument_id == instrument_id and it.price is not None]
        instrument = self.naive.instruments.get(instrument_id)
        if instrument is not None and instrument.mark is not None and self.quoting.randrange(3):
            return instrument.mark
        return self.quoting.choice(mine) if mine else self.quoting.randint(1, 8) * 100_000

    def _open_size(self) -> int | None:
        choose = self.quoting.choice
        if not self.quoting.randrange(30):
            return choose((-1, 5, None, 10**12))
        return choose((0, None, 500, 500, 1_000, 1_000, 2_000, 2_000, 3_000))

    def _cancel_quotes(self, user_id: str) -> CancelQuotes:
        choose, one_in = self.quoting.choice, self.quoting.randrange
        lowest = choose((-1_000_000, -500_000, 0, 200_000))
        return CancelQuotes(
            user_id,
            choose((UNSET, UNSET, self._instrument_id())),
            choose((UNSET, UNSET, "SOL", "BTC", "ETH")),
            choose((UNSET, UNSET, UNSET, UNSET, *GROUPS)),
            choose((UNSET, UNSET, UNSET, *SETS)),
            UNSET if one_in(4) else lowest,
            UNSET if one_in(4) else lowest + choose((200_000, 1_000_000)),
        )


class QuoteMarketCommands(QuoteCommands, FairMarketCommands):
    """The same in a market by rules version 2."""
