"""Random command streams of an options market: those of random_commands.py, and all commands that a market adds.

They have an index that walks, jumps and crashes, stale prices, expirations with and without an average, halts, pauses,
suspensions, limits, reduce-only orders and changes of the rules. A third of the streams begin without a market; most
of them get one later. The strikes are 1 to 4 USDC and the cash is small, so that margins are often too high.
"""

from collections.abc import Callable, Iterator
from random import Random

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from exchange.domain.commands import (
    CancelUserOrders,
    ChangeRules,
    Command,
    CreateInstrument,
    Deposit,
    EditOrder,
    EndDay,
    Genesis,
    OpenAccount,
    PauseSeries,
    PlaceOrder,
    ResetAccount,
    ResumeSeries,
    SetHalt,
    SetIndexPrice,
    SetLimits,
    SetSuspended,
    SettleSeries,
    StartSession,
    Withdraw,
)
from exchange.domain.enums import OptionType, Side, TimeInForce
from exchange.domain.events import Event, InstrumentStateChanged, OrderAccepted
from exchange.domain.instruments import instrument_id_of
from exchange.domain.rules import (
    Band,
    Fees,
    IndexFees,
    LiquidationRules,
    Market,
    Rules,
    Series,
    SettlementRules,
    Surface,
    market_of,
)
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS, US_PER_DAY, next_day_end_us
from tests.naive import NaiveExchange
from tests.random_commands import USERS, RandomCommands, Step

MINUTE_US = 60 * 1_000_000
OTHER_INSTRUMENTS = (
    CreateInstrument("ETH_USDC-26FEB26-2-C", 100_000, 1),
    CreateInstrument("ETH_USDC-27FEB26-3-P", 100_000, 1),
    CreateInstrument("SOL_USDC-26FEB26-2-C", 100_000, 1),
    CreateInstrument("BTC_USDC-27FEB26-3-P", 50_000, 10),
)
ASSETS = (*["SOL"] * 8, *["BTC"] * 5, "ETH")
# The index walks around this price.
BASE = 2_600_000


def market_steps(seed: int, count: int) -> Iterator[Step]:
    """Yield the first `count` commands of the stream of `seed`, with the naive exchange's events."""
    naive = NaiveExchange()
    source = MarketCommands(seed, naive)
    for _ in range(count):
        command = source.next_command()
        events = naive.apply(source.ts_us, command)
        source.observe(events)
        yield Step(source.ts_us, command, events)


def fair_steps(seed: int, count: int) -> Iterator[Step]:
    """The same for a stream under rules version 2."""
    naive = NaiveExchange()
    source = FairMarketCommands(seed, naive)
    for _ in range(count):
        command = source.next_command()
        events = naive.apply(source.ts_us, command)
        source.observe(events)
        yield Step(source.ts_us, command, events)


class MarketCommands(RandomCommands):
    """A stream of commands. Call `observe` with the events of one command before asking for the next."""

    def __init__(self, seed: int, naive: NaiveExchange) -> None:
        # Draws of their own, so that the streams of both versions are the same.
        self.versions = Random(f"e versions {seed}")
        super().__init__(seed, naive)
        more: list[Callable[[], Command]] = [
            *[self._place] * 40,
            *[self._index] * 14,
            *[self._before_day_end] * 2,
            *[self._settle] * 3,
            *[self._edit] * 8,
            *[self._reduce] * 8,
            *[self._close_enough] * 4,
            *[self._cross] * 14,
            *[self._squeeze] * 8,
            *[self._squeeze_by_edit] * 2,
            *[self._pause_series, self._halt, self._suspend, self._limit, self._admin_cancels, self._whales],
            *[self._change_rules] * 2,
            self._pay_insurance,
        ]
        self.kinds += more
        self.day_ended_us = next_day_end_us(self.ts_us) - US_PER_DAY

    def next_command(self) -> Command:
        """Return the next command. As in the pipeline, the end of a day comes before every command after 08:00."""
        command = super().next_command()
        day_end_us = next_day_end_us(self.ts_us) - US_PER_DAY
        if day_end_us > self.day_ended_us and not isinstance(command, EndDay):
            self.queue.insert(0, command)
            self.last = command = EndDay(day_end_us)
        if isinstance(command, EndDay):
            self.day_ended_us = max(self.day_ended_us, command.day_end_us)
        return command

    def observe(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, OrderAccepted) and event.liquidation is True:
                self.last, last = _as_command(event), self.last
                super().observe([event])
                self.last = last
            elif isinstance(event, InstrumentStateChanged) and event.instrument_id not in self.live:
                continue
            else:
                super().observe([event])

    # The rules

    def _opening(self) -> list[Command]:
        choose = self.random.choice
        self.begins_with_market = not self._chance(3)
        cash = (300_000, 700_000, 2_000_000, 5_000_000, 500_000_000)
        return [
            self._genesis(),
            StartSession("test"),
            *self.random.sample(OTHER_INSTRUMENTS, choose((1, 2, 4))),
            *[OpenAccount(user_id, choose(cash)) for user_id in USERS],
            *[self._index() for _ in range(2)],
        ]

    def _genesis(self) -> Command:
        rules, version = self._rules(with_market=self.begins_with_market), self.versions.choice((1, 2))
        return Genesis(self._with_surface(rules, version), version)

    def _with_surface(self, rules: Rules, version: int) -> Rules:
        """Return the rules with a surface that a few quotes move far, if the version has one."""
        market = market_of(rules)
        if market is None or version == 1:
            return rules
        surface = Surface(
            self.versions.choice((300_000, 800_000, 2_000_000)),
            self.versions.choice((-400_000, 0, 300_000)),
            self.versions.choice((100_000, 700_000, 1_500_000)),
            move_ppm=self.versions.choice((5_000, 200_000)),
            quote_size_min_milli=self.versions.choice((1, 10, 300)),
            quotes_min=self.versions.choice((1, 1, 2)),
        )
        choose = self.versions.choice
        band = choose((*[None] * 8, UNSET, Band(400_000), Band(choose((0, 100_000)), 300_000)))
        return replace(rules, market=replace(market, surface=surface, band=band))

    def _rules(self, with_market: bool) -> Rules:
        choose = self.random.choice
        return Rules(
            self_trade_prevention=choose(("cancel_resting", "cancel_resting", "cancel_resting", "off")),
            fees=choose((Fees(), Fees(), Fees(200, 500), Fees(70_001, 9_999))),
            collateral=choose(("standard", "standard", "standard", "cash_secured")),
            open_orders_max=choose((5, 10_000, 10_000)),
            finished_orders_kept=choose((0, 4, 10_000)),
            market=self._market() if with_market else UNSET,
        )

    def _market(self) -> Market:
        choose = self.random.choice
        sol = Series(
            "SOL",
            strike_spacing_usdc=1,
            strikes_each_side=choose((0, 1)),
            tick_micros=choose((100_000, 50_000, 10_000)),
            min_size_milli=choose((1, 1, 10)),
            dailies=choose((1, 2)),
            weeklies=choose((0, 1)),
            monthlies=choose((0, 0, 1)),
        )
        btc = Series("BTC", strike_spacing_usdc=2, strikes_each_side=0, tick_micros=100_000, min_size_milli=1)
        btc = replace(btc, dailies=1, weeklies=choose((0, 2)), monthlies=0)
        return Market(
            series=choose(((), (sol,), (sol, btc), (btc, sol))),
            fees=choose((IndexFees(), IndexFees(300, 300, delivery_ppm=150), IndexFees(0, 50_001, 70_007, 900, 3_333))),
            index_age_max_s=choose((0, 0, 600, 7_200)),
            index_jump_max=choose((0, 2, 2, 2)),
            mark_spread_max_ppm=choose((0, 20_000, 200_000)),
            liquidation_limit_ppm=choose((0, 20_000, 200_000, 1_000_000)),
            position_max_milli=choose((0, 0, 0, 3_000)),
        )

    def _change_rules(self) -> Command:
        has_market = market_of(self.naive.rules) is not None
        rules = self._rules(with_market=not self._chance(6 if has_market else 2))
        market = market_of(rules)
        if market is not None and market.series and self._chance(8):
            rules = replace(rules, market=replace(market, series=(*market.series, market.series[0])))
        versions: list[int | UnsetType] = [*[UNSET] * 8, 2]
        version = self.versions.choice(versions)
        return ChangeRules(self._with_surface(rules, version or self.naive.version), version)

    # The index and the clock

    def _index(self) -> Command:
        """Set an index price: mostly near the last one, sometimes a jump, a crash or an invalid price."""
        choose, asset = self.random.choice, self.random.choice(ASSETS)
        if self._chance(40):
            return SetIndexPrice(choose((asset, "XYZ")), choose((0, -1, PRICE_MAX_MICROS + 1, BASE)), self._chance(2))
        last = self.naive.index_of(asset) or BASE
        if not BASE // 4 < last < 4 * BASE:
            return SetIndexPrice(asset, BASE + self.random.randint(-999_999, 999_999), forced=True)
        per_mille = self.random.randint(950, 1_050)
        if self._chance(6):
            per_mille = choose((600, 700, 1_400, 1_650))
        elif self._chance(20):
            per_mille = choose((300, 499, 500, 2_000, 2_001, 3_000))
        elif self._chance(80):
            return SetIndexPrice(asset, choose((1, 7, PRICE_MAX_MICROS)), forced=True)
        return SetIndexPrice(asset, max(1, last * per_mille // 1_000), forced=self._chance(10))

    def _before_day_end(self) -> Command:
        """Set an index price in the last forty minutes before 08:00 UTC, or at that moment, and maybe some more."""
        before = self.random.choice((self.random.randrange(40 * MINUTE_US), 30 * MINUTE_US, 1, 0))
        self.ts_us = max(self.ts_us, next_day_end_us(self.ts_us) - before)
        self.queue += [self._index() for _ in range(self.random.randrange(3))]
        return self._index()

    def _end_day(self) -> Command:
        """End the current day; sometimes one already over, or some hours late."""
        running = next_day_end_us(self.ts_us)
        if self._chance(8):
            self.ts_us = running + self.random.randrange(US_PER_DAY)
        return EndDay(running - US_PER_DAY if self._chance(4) else running)

    def _series(self) -> tuple[str, int]:
        """Return any series, most likely one that waits to be settled."""
        known = list(dict.fromkeys(instrument.series for instrument in self.naive.instruments.values()))
        over = {instrument.series for instrument in self.naive.instruments.values() if instrument.state == "expired"}
        waiting = [series for series in known if series in over and series not in self.naive.settled]
        if not known or self._chance(20):
            return "SOL", 1
        return self.random.choice(waiting if waiting and not self._chance(4) else known)

    def _settle(self) -> Command:
        price = self.random.choice((0, 1_500, PRICE_MAX_MICROS + 1_000)) if self._chance(3) else self._price_near(BASE)
        return SettleSeries(*self._series(), price)

    def _price_near(self, price: int) -> int:
        return max(1, price // 100_000 + self.random.randint(-8, 8)) * 100_000

    # Orders

    def _instrument(self) -> str:
        """Return mostly one of the few instruments listed first, so that orders meet, or one with a position."""
        open_now = [key for key in self.live if not self.naive.instruments[key].is_over(self.ts_us)]
        if not open_now or self._chance(8):
            return super()._instrument()
        open_positions = [key for (_, key), position in self.naive.positions.items() if position and key in open_now]
        return self.random.choice(open_positions if open_positions and self._chance(4) else open_now[:4])

    def _place(self) -> Command:
        order = super()._place()
        assert isinstance(order, PlaceOrder)
        instrument = self.naive.instruments.get(order.instrument_id)
        if instrument and instrument.mark is not None and order.type == "limit" and self._chance(2):
            ticks = instrument.mark // instrument.tick + self.random.randint(-1, 2)
            order = replace(order, price_micros=max(1, ticks) * instrument.tick)
        if order.time_in_force in ("ioc", "fok") and self._chance(6):
            order = replace(order, reduce_only=True)
        return order

    def _reduce(self) -> Command:
        """Place a reduce-only order, or one that counts on the collateral that it releases."""
        open_positions = [(key, position) for key, position in self.naive.positions.items() if position]
        if not open_positions:
            return self._place()
        (user_id, instrument_id), position = self.random.choice(open_positions)
        side: Side = "ask" if position > 0 else "bid"
        order = self._place()
        assert isinstance(order, PlaceOrder)
        if order.time_in_force in ("gtc", "day"):
            order = replace(order, time_in_force=self.random.choice(("ioc", "fok")), post_only=False)
        if self._chance(3):
            order = replace(order, size_milli=abs(position))
        reduce_only = True if self._chance(2) else UNSET
        return replace(order, user_id=user_id, instrument_id=instrument_id, side=side, reduce_only=reduce_only)

    def _close_enough(self) -> Command:
        """Place a bid of a user who is short, with exactly enough cash, or a micro more or less."""
        order = self._reduce()
        assert isinstance(order, PlaceOrder)
        if order.time_in_force in ("gtc", "day") or order.user_id not in self.naive.users:
            return order
        if order.instrument_id not in self.naive.instruments:
            return order
        order = replace(order, reduce_only=UNSET)
        if self._chance(2):
            order = replace(order, type="market", price_micros=None)
        self.queue += [order, Deposit(order.user_id, 3_000_000)]
        needed = self.naive.needed(order) + self.random.choice((-2, -1, 0, 0, 1))
        surplus = self.naive.available(order.user_id) - max(0, needed)
        return Withdraw(order.user_id, surplus) if surplus > 0 else Deposit(order.user_id, -surplus)

    def _cross(self) -> Command:
        """Place or edit another user's order so that it trades with a resting one."""
        resting = [order for order in self.naive.orders if order.instrument_id in self.live]
        if not resting:
            return self._place()
        wanted = self.random.choice(resting)
        for order in self.naive.orders:
            if order.instrument_id == wanted.instrument_id and order.side != wanted.side and self._chance(2):
                return EditOrder(order.user_id, order.order_id, price_micros=wanted.price)
        side: Side = "ask" if wanted.side == "bid" else "bid"
        against = self._place()
        assert isinstance(against, PlaceOrder)
        if against.type == "limit":
            against = replace(against, price_micros=wanted.price, post_only=False)
        return replace(against, instrument_id=wanted.instrument_id, side=side)

    def _squeeze(self) -> Command:
        """Withdraw all cash of a user who is or offers to be short, move the index against it, and offer contracts."""
        shorts = [key for key, position in self.naive.positions.items() if position < 0 and key[1] in self.live]
        shorts += [(o.user_id, o.instrument_id) for o in self.naive.orders if o.side == "ask"]
        shorts = [key for key in shorts if self.naive.instruments[key[1]].mark is not None]
        if not shorts:
            return self._place()
        user_id, instrument_id = self.random.choice(shorts)
        instrument = self.naive.instruments[instrument_id]
        is_call, mark = instrument.terms.option_type == "call", instrument.mark or 0
        index = self.naive.index_of(instrument.terms.asset)
        price = max(1, mark // instrument.tick + self.random.randint(0, 8)) * instrument.tick
        in_force: TimeInForce = "day" if self._chance(4) else "gtc"
        offer = PlaceOrder(self._user(), instrument_id, "ask", "limit", in_force, price, self._size())
        factor = self.random.choice((1_100, 1_300, 1_800) if is_call else (900, 700, 400))
        turn = SetIndexPrice(instrument.terms.asset, max(1, index * factor // 1_000), forced=True)
        if self._chance(2):
            self.queue += [*[offer] * self.random.randrange(3), turn, self._cross(), self._cross()]
        else:
            # The rest of the short is tried again.
            end_day = EndDay(next_day_end_us(self.ts_us))
            again = self.random.choice((ChangeRules(self.naive.rules), end_day, end_day, turn))
            self.queue += [turn, replace(offer, time_in_force="gtc"), again]
        return Withdraw(user_id, max(1, self.naive.available(user_id)))

    def _squeeze_by_edit(self) -> Command:
        """Move the index against a user with an open ask and little cash, and then edit a bid to take that ask."""
        marked = [key for key in self.live if self.naive.instruments[key].mark is not None]
        if not marked:
            return self._index()
        seller, buyer = self.random.sample(USERS, 2)
        instrument = self.naive.instruments[self.random.choice(marked[:6])]
        asset, option_type = instrument.terms.asset, instrument.terms.option_type
        price = ((instrument.mark or 0) // instrument.tick + 3) * instrument.tick
        bid = PlaceOrder(buyer, instrument.instrument_id, "bid", "limit", "gtc", price - instrument.tick, 500)
        key = f"edge-{self.random.randrange(10_000)}"
        factor = 1_900 if option_type == "call" else 600
        self.queue += [
            replace(bid, client_order_id=key),
            Withdraw(seller, max(1, self.naive.available(seller) - self.random.choice((0, 500_000)))),
            Deposit(seller, 900_000),
            replace(bid, user_id=seller, side="ask", price_micros=price),
            SetIndexPrice(asset, max(1, self.naive.index_of(asset) * factor // 1_000), forced=True),
            EditOrder(buyer, client_order_id=key, price_micros=price),
        ]
        return Deposit(buyer, 3_000_000)

    def _whales(self) -> Command:
        """Open a position so large that its margin at the highest index exceeds NUMBER_MAX."""
        if not self.live:
            return self._index()
        buyer, seller = self.random.sample(USERS, 2)
        instrument = self.naive.instruments[self.random.choice(self.live)]
        sale = PlaceOrder(seller, instrument.instrument_id, "ask", "limit", "gtc", 1_000_000, 5_000_000)
        if not self._chance(3):
            return self._index()
        self.queue += [
            Deposit(buyer, 10**12),
            sale,
            replace(sale, user_id=buyer, side="bid", time_in_force="ioc"),
            SetIndexPrice(instrument.terms.asset, PRICE_MAX_MICROS, forced=True),
            SettleSeries(*instrument.series, PRICE_MAX_MICROS),
        ]
        return Deposit(seller, 10**13)

    # The administrator

    def _for_a_while(self, *ends: Command) -> None:
        """Let some orders be refused, and then end the pause, halt or suspension."""
        kinds = (self._place, self._place, self._edit, self._cancel, self._index)
        self.queue += [self.random.choice(kinds)() for _ in range(self.random.randrange(6))]
        self.queue += ends

    def _pause_series(self) -> Command:
        asset, expiration_s = self._some_series()
        self._for_a_while(ResumeSeries(asset, expiration_s))
        return PauseSeries(asset, expiration_s)

    def _some_series(self) -> tuple[str | None, int | None]:
        asset, expiration_s = self._series()
        return self.random.choice(((asset, expiration_s), (asset, None), (None, expiration_s), (None, None)))

    def _halt(self) -> Command:
        self._for_a_while(SetHalt(False))
        return SetHalt(True)

    def _suspend(self) -> Command:
        user_id = self._user()
        self._for_a_while(SetSuspended(user_id, False))
        return SetSuspended(user_id, True)

    def _limit(self) -> Command:
        choose = self.random.choice
        beyond = choose((-1, NUMBER_MAX + 1)) if self._chance(5) else None
        user_id = self._user()
        self._for_a_while(SetLimits(user_id))
        return SetLimits(user_id, choose((None, 4, beyond)), choose((None, 0, 2_500, beyond)))

    def _admin_cancels(self) -> Command:
        return CancelUserOrders(self._user(), self.random.choice((None, self._instrument())))

    def _pay_insurance(self) -> Command:
        user_id = self.random.choice(("insurance", "insurance", "fees"))
        return self.random.choice((Deposit, Withdraw))(user_id, self.random.choice((1, 100_000, 40_000_000)))

    def _create(self) -> Command:
        """List an instrument as in the base class, or an option near the money that expires in one or two days."""
        if self._chance(3):
            return super()._create()
        choose = self.random.choice
        expiration_us = next_day_end_us(self.ts_us) + choose((0, 1)) * US_PER_DAY
        option_types: tuple[OptionType, OptionType] = ("call", "put")
        strike, option_type = choose((1, 2, 3)), choose(option_types)
        wanted = instrument_id_of(choose(("SOL", "BTC", "ETH")), expiration_us // 1_000_000, strike, option_type)
        return CreateInstrument(wanted, choose((100_000, 50_000)), 1)


def _as_command(event: OrderAccepted) -> PlaceOrder:
    return PlaceOrder(event.user_id, event.instrument_id, "bid", "limit", "ioc", event.price_micros, event.size_milli)


class FairMarketCommands(MarketCommands):
    """The same under rules version 2 from the beginning, with every rule of liquidation and of fees."""

    def __init__(self, seed: int, naive: NaiveExchange) -> None:
        # Draws of their own, so that the rest of a stream does not depend on them.
        self.terms = Random(f"terms {seed}")
        self.starts = Random(f"starts {seed}")
        super().__init__(seed, naive)
        self.kinds += [self._reset, *[self._ruin] * 16]

    def _opening(self) -> list[Command]:
        opening = super()._opening()
        self.begins_with_market = True
        opening[0] = Genesis(self._rules(with_market=True), 2)
        return opening

    def _market(self) -> Market:
        choose = self.random.choice
        liquidation = LiquidationRules(
            limit_ppm=choose((0, 20_000, 200_000, 1_000_000)),
            cushion_ppm=choose((0, 50_000, 300_000)),
            takeover_after=choose((0, 0, 1, 3)),
            insurance_floor_micros=choose((0, 0, 0, 0, -1_000_000, -100_000_000)),
        )
        fees = choose(
            (
                IndexFees(),
                IndexFees(100, 500, delivery_ppm=150, daily_delivery_ppm=0, liquidation_ppm=1_600),
                IndexFees(0, 50_001, 70_007, 900, 3_333, 70_001, 33_333),
            )
        )
        ages, times = choose((0, 1, 600, 1_800, 90_000)), choose((0, 0, 300))
        kept = self.terms.choice((UNSET, 1, 1, 2))
        settlement = choose((UNSET, SettlementRules(ages, times, kept), SettlementRules(ages, times, kept)))
        rules = {"fees": fees, "liquidation": liquidation, "settlement": settlement, "forwards": self._forwards()}
        band = self.terms.choice((None, None, None, UNSET, Band(400_000), Band(0, 300_000)))
        return replace(super()._market(), band=band, **rules)

    def _forwards(self) -> dict[str, int] | UnsetType:
        """Return a basis of up to 1,000 % a year for some of the next expirations; some are too far from the index."""
        if self.terms.randrange(2):
            return UNSET
        first_s = next_day_end_us(self.ts_us) // 1_000_000
        forwards = {}
        for _ in range(self.terms.choice((1, 3, 8))):
            asset, day = self.terms.choice(("SOL", "SOL", "BTC")), self.terms.choice((0, 0, 0, 1, 1, 4, 7, 30))
            _, expiration, *_ = instrument_id_of(asset, first_s + day * 86_400, 1, "call").split("-")
            basis_ppm = self.terms.choice((-10_000_000, -3_000_000, 0, 3_000_000, 10_000_000))
            forwards[f"{asset}-{expiration}"] = basis_ppm // (1 if self.terms.randrange(4) else 12)
        return forwards

    def _end_day(self) -> Command:
        """End a day, sometimes after a crash."""
        command = super()._end_day()
        assert isinstance(command, EndDay)
        return command if self.starts.randrange(6) else replace(command, is_before_start=True)

    def _ruin(self) -> Command:
        """Move the index against a short of a user who also owns options, and end the day: the user may owe cash."""
        held = {key: position for key, position in self.naive.positions.items() if position and key[1] in self.live}
        owners = [user_id for (user_id, _), position in held.items() if position > 0]
        shorts = [key for key, position in held.items() if position < 0 and key[0] in owners]
        if not shorts:
            return self._place()
        user_id, instrument_id = self.random.choice(shorts)
        terms = self.naive.instruments[instrument_id].terms
        index, factor = self.naive.index_of(terms.asset), 30 if terms.option_type == "put" else 300
        crash = SetIndexPrice(terms.asset, max(1, index * factor // 100), forced=True)
        surplus = self.naive.available(user_id)
        self.queue += [crash, EndDay(next_day_end_us(self.ts_us))]
        return Withdraw(user_id, surplus) if surplus > 0 else crash

    def _create(self) -> Command:
        """List an instrument, sometimes one that expires in the last possible year or after it."""
        command = super()._create()
        assert isinstance(command, CreateInstrument)
        late = self.terms.choice((*[None] * 6, "SOL_USDC-31DEC98-3-C", "SOL_USDC-1JAN99-3-C"))
        return command if late is None else replace(command, instrument_id=late)

    def _edit(self) -> Command:
        """Edit an order, sometimes to the terms that it has."""
        command = super()._edit()
        if isinstance(command, EditOrder) and not self.terms.randrange(6):
            return replace(command, price_micros=None, size_milli=None)
        return command

    def _reset(self) -> Command:
        """Reset any account, mostly one without positions."""
        owners = [owner for (owner, _), position in self.naive.positions.items() if position]
        flat = [user_id for user_id in self.naive.users if user_id not in owners]
        return ResetAccount(self._user() if not flat or self._chance(4) else self.random.choice(flat))

    def _settle(self) -> Command:
        """Settle as in the other streams, but mostly at a price of any number of micros."""
        command = super()._settle()
        assert isinstance(command, SettleSeries)
        return replace(command, price_micros=command.price_micros + self.random.choice((0, 1, 333, 500_001)))
