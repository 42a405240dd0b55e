"""Mass quotes and MMP groups of the naive exchange: written from docs/protocol.md, with no lists but those of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from msgspec import UNSET

from exchange.domain.commands import (
    CancelQuotes,
    InstrumentQuote,
    MassQuote,
    PlaceOrder,
    QuoteSide,
    ResetMmp,
    SetMmpConfig,
)
from exchange.domain.enums import MmpLimit, Side
from exchange.domain.events import (
    AllCancelled,
    Event,
    MassQuoted,
    MmpConfigSet,
    MmpResetDone,
    MmpTriggered,
    OrderEdited,
    QuoteRefused,
    Refused,
)
from exchange.domain.reasons import Reason
from exchange.domain.smile import Slice
from exchange.domain.units import NUMBER_MAX

if TYPE_CHECKING:
    from tests.naive import NaiveExchange, NaiveOrder

MOST_QUOTES = 100
MOST_GROUPS = 16
LONGEST_S = 3600
SECOND = 1_000_000


@dataclass
class NaiveGroup:
    """`delta` is in contracts, `vega` in micros for one point. `frozen` is the time at which the freeze ends."""

    config: SetMmpConfig
    began: int | None = None
    quantity: int = 0
    delta: Fraction = Fraction(0)
    vega: Fraction = Fraction(0)
    frozen: int | None = None

    def forget(self) -> None:
        self.began, self.quantity, self.delta, self.vega = None, 0, Fraction(0), Fraction(0)


def set_mmp_config(naive: NaiveExchange, command: SetMmpConfig) -> list[Event]:
    key = command.user_id, command.mmp_group
    if command.user_id not in naive.users:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    known = naive.mmp_groups.get(key)
    if reason := _why_not_configured(naive, command, known):
        return [Refused(command.user_id, reason)]
    limits = (command.quantity_limit_milli, command.delta_limit_milli, command.vega_limit_micros)
    names = (command.user_id, command.mmp_group, command.asset, command.interval_s, command.frozen_s)
    if command.interval_s == 0:
        removed = naive.cancel_each(resting(naive, *key), "mmp_removed")
        del naive.mmp_groups[key]
        return [*removed, MmpConfigSet(*names)]
    if known is None:
        naive.mmp_groups[key] = NaiveGroup(command)
    else:
        known.config = command
        known.forget()
    return [MmpConfigSet(*names, *limits)]


def _why_not_configured(naive: NaiveExchange, command: SetMmpConfig, known: NaiveGroup | None) -> Reason | None:
    if known is None and command.interval_s == 0:
        return Reason.MMP_GROUP_UNKNOWN
    if command.asset not in [it.terms.asset for it in naive.instruments.values()]:
        return Reason.UNKNOWN_ASSET
    if known is not None and known.config.asset != command.asset:
        return Reason.MMP_GROUP_OF_OTHER_ASSET
    if not (0 <= command.interval_s <= LONGEST_S and 0 <= command.frozen_s <= LONGEST_S):
        return Reason.INVALID_MMP_CONFIG
    if command.interval_s == 0:
        return None
    all_limits = (command.quantity_limit_milli, command.delta_limit_milli, command.vega_limit_micros)
    limits = [limit for limit in all_limits if limit is not UNSET]
    if not limits or min(limits) <= 0 or max(limits) > NUMBER_MAX:
        return Reason.INVALID_MMP_CONFIG
    if known is None and sum(user_id == command.user_id for user_id, _ in naive.mmp_groups) >= MOST_GROUPS:
        return Reason.TOO_MANY_MMP_GROUPS
    needs_model = command.delta_limit_milli is not UNSET or command.vega_limit_micros is not UNSET
    return Reason.NO_MODEL if needs_model and not naive.has_fair_market else None


def reset_mmp(naive: NaiveExchange, command: ResetMmp) -> list[Event]:
    if command.user_id not in naive.users:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    group = naive.mmp_groups.get((command.user_id, command.mmp_group))
    if group is None:
        return [Refused(command.user_id, Reason.MMP_GROUP_UNKNOWN)]
    group.frozen = None
    group.forget()
    return [MmpResetDone(command.user_id, command.mmp_group)]


def mass_quote(naive: NaiveExchange, ts_us: int, command: MassQuote) -> list[Event]:
    user_id = command.user_id
    if user_id not in naive.users:
        return [Refused(user_id, Reason.UNKNOWN_USER)]
    if _is_contradictory(command):
        return [Refused(user_id, Reason.INVALID_QUOTES)]
    group = naive.mmp_groups.get((user_id, command.mmp_group))
    if group is None:
        return [Refused(user_id, Reason.MMP_GROUP_UNKNOWN)]
    if not naive.users[user_id].cancel_on_disconnect and command.connection is UNSET:
        return [Refused(user_id, Reason.CANCEL_ON_DISCONNECT_OFF)]
    if group.frozen == 0 or (group.frozen is not None and ts_us < group.frozen):
        return [Refused(user_id, Reason.MMP_FROZEN)]
    group.frozen = None
    events: list[Event] = []
    changed: list[tuple[int, str]] = []
    unchanged: list[int] = []
    for quote in command.quotes:
        for side in _sides_in_order(naive, command, quote):
            terms = quote.bid if side == "bid" else quote.ask
            if terms is not UNSET:
                events += _set_side(naive, ts_us, command, quote, side, terms, changed, unchanged)
    events.append(MassQuoted(user_id, command.mmp_group, command.quote_id, changed, unchanged))
    return events + naive.liquidate_traders(ts_us, events)


def _is_contradictory(command: MassQuote) -> bool:
    names = [quote.instrument_id for quote in command.quotes]
    if not 1 <= len(names) <= MOST_QUOTES or len(set(names)) < len(names):
        return True
    crossed = 0
    for quote in command.quotes:
        if quote.bid is UNSET and quote.ask is UNSET:
            return True
        bid, ask = quote.bid, quote.ask
        if bid is not UNSET and ask is not UNSET and 0 not in (bid.size_milli, ask.size_milli):
            crossed += bid.price_micros >= ask.price_micros
    return crossed > 0


def _sides_in_order(naive: NaiveExchange, command: MassQuote, quote: InstrumentQuote) -> list[Side]:
    """Cancellations first. If the ask moves up it makes room for the bid; otherwise the bid is below it anyway."""
    bid, ask = quote.bid, quote.ask
    if bid is UNSET or ask is UNSET or bid.size_milli == 0:
        return ["bid", "ask"]
    if ask.size_milli == 0:
        return ["ask", "bid"]
    old = _quote_on(naive, command.user_id, command.mmp_group, quote.instrument_id, "ask")
    moves_up = old is not None and old.price is not None and ask.price_micros > old.price
    return ["ask", "bid"] if moves_up else ["bid", "ask"]


def _set_side(
    naive: NaiveExchange,
    ts_us: int,
    command: MassQuote,
    quote: InstrumentQuote,
    side: Side,
    terms: QuoteSide,
    changed: list[tuple[int, str]],
    unchanged: list[int],
) -> list[Event]:
    names = command.user_id, command.mmp_group, quote.instrument_id
    old = _quote_on(naive, *names, side)
    if old is not None:
        naive.connections.pop(old.order_id, None)
        if command.connection:
            naive.connections[old.order_id] = command.connection
    if terms.size_milli == 0:
        return [] if old is None else naive.close_order(old, "user_request")
    set_id = quote.quote_set_id or ""
    open_size = terms.size_milli
    if open_size is None:
        if old is None:
            return [QuoteRefused(command.user_id, quote.instrument_id, side, Reason.NO_QUOTE)]
        open_size = old.remaining
    if old is not None and (old.price, old.remaining, naive.quoted[old.order_id][1]) == (
        terms.price_micros,
        open_size,
        set_id,
    ):
        unchanged.append(old.order_id)
        return []
    wanted = PlaceOrder(
        command.user_id,
        quote.instrument_id,
        side,
        "limit",
        "gtc",
        terms.price_micros,
        open_size,
        terms.post_only,
        connection=command.connection,
    )
    if reason := _why_not_quoted(naive, ts_us, command, wanted, old):
        return [QuoteRefused(command.user_id, quote.instrument_id, side, reason)]
    if old is None:
        order, accepted = naive.accept(wanted, open_size)
        naive.quoted[order.order_id] = (command.mmp_group, set_id)
        changed.append((order.order_id, set_id))
        naive.orders.append(order)
        naive.note_order(order)
        return [accepted, *naive.trade(order)]
    assert old.price is not None
    filled = old.size - old.remaining
    kept = terms.price_micros == old.price and open_size <= old.remaining
    edited = OrderEdited(
        *(old.order_id, command.user_id, quote.instrument_id, side, terms.price_micros, filled + open_size, open_size),
        kept,
        old.price,
        old.remaining,
    )
    naive.quoted[old.order_id] = (command.mmp_group, set_id)
    changed.append((old.order_id, set_id))
    naive.note_order(old)
    old.price, old.size, old.remaining = terms.price_micros, filled + open_size, open_size
    if kept:
        return [edited]
    naive.last_place += 1
    old.place = naive.last_place
    return [edited, *naive.trade(old)]


def _why_not_quoted(
    naive: NaiveExchange, ts_us: int, command: MassQuote, wanted: PlaceOrder, old: NaiveOrder | None
) -> Reason | None:
    group = naive.mmp_groups[command.user_id, command.mmp_group]
    instrument = naive.instruments.get(wanted.instrument_id)
    if group.frozen is not None:
        return Reason.MMP_FROZEN
    if instrument is None:
        return naive.unknown(wanted.instrument_id)
    if instrument.terms.asset != group.config.asset:
        return Reason.MMP_GROUP_OF_OTHER_ASSET
    other: Side = "ask" if wanted.side == "bid" else "bid"
    mine = _quote_on(naive, command.user_id, command.mmp_group, wanted.instrument_id, other)
    if mine is not None and mine.would_trade_at(wanted.price_micros):
        return Reason.QUOTE_CROSSES_OWN
    if old is None:
        return naive.why_not_place(ts_us, wanted, wanted.size_milli, None)
    assert wanted.price_micros is not None
    filled = old.size - old.remaining
    if reason := naive.why_not_edit(ts_us, old, wanted.price_micros, filled + wanted.size_milli, filled):
        return reason
    return Reason.POST_ONLY_WOULD_TRADE if wanted.post_only and naive.tradable(wanted) > 0 else None


def cancel_quotes(naive: NaiveExchange, command: CancelQuotes) -> list[Event]:
    user_id = command.user_id
    if user_id not in naive.users:
        return [Refused(user_id, Reason.UNKNOWN_USER)]
    if naive.is_unknown(command.instrument_id):
        return [Refused(user_id, Reason.INSTRUMENT_NOT_FOUND)]
    if command.asset is not UNSET and command.asset not in [it.terms.asset for it in naive.instruments.values()]:
        return [Refused(user_id, Reason.UNKNOWN_ASSET)]
    if command.mmp_group is not UNSET and (user_id, command.mmp_group) not in naive.mmp_groups:
        return [Refused(user_id, Reason.MMP_GROUP_UNKNOWN)]
    chosen = [order for order in naive.orders if order.user_id == user_id and _is_chosen(naive, command, order)]
    return [*naive.cancel_each(chosen, "user_request"), AllCancelled(user_id, len(chosen))]


def _is_chosen(naive: NaiveExchange, command: CancelQuotes, order: NaiveOrder) -> bool:
    if order.order_id not in naive.quoted:
        return False
    group, set_id = naive.quoted[order.order_id]
    if not (
        command.instrument_id in (UNSET, order.instrument_id)
        and command.asset in (UNSET, naive.instruments[order.instrument_id].terms.asset)
        and command.mmp_group in (UNSET, group)
        and command.quote_set_id in (UNSET, set_id)
    ):
        return False
    if command.min_delta_ppm is UNSET and command.max_delta_ppm is UNSET:
        return True
    model = _model(naive, order)
    if model is None:
        return False
    lowest = -Fraction(10) if command.min_delta_ppm is UNSET else Fraction(command.min_delta_ppm, 1_000_000)
    highest = Fraction(10) if command.max_delta_ppm is UNSET else Fraction(command.max_delta_ppm, 1_000_000)
    return lowest <= model[0] <= highest


def resting(naive: NaiveExchange, user_id: str, name: str) -> list[NaiveOrder]:
    """Return the open quotes of a group, oldest first."""
    mine = [order for order in naive.orders if order.user_id == user_id]
    return [order for order in mine if naive.quoted.get(order.order_id, ("",))[0] == name]


def _quote_on(naive: NaiveExchange, user_id: str, name: str, instrument_id: str, side: Side) -> NaiveOrder | None:
    found = [it for it in resting(naive, user_id, name) if (it.instrument_id, it.side) == (instrument_id, side)]
    return found[0] if found else None


def is_frozen(naive: NaiveExchange, order: NaiveOrder) -> bool:
    if order.order_id not in naive.quoted:
        return False
    return naive.mmp_groups[order.user_id, naive.quoted[order.order_id][0]].frozen is not None


def protect(naive: NaiveExchange, maker: NaiveOrder, taker: NaiveOrder, size: int) -> list[Event]:
    """Count a fill for the groups of maker and taker, and freeze a group at its limit."""
    events: list[Event] = []
    for order in (maker, taker):
        if order.order_id in naive.quoted:
            events += _count(naive, order, taker, size)
    return events


def _count(naive: NaiveExchange, order: NaiveOrder, taker: NaiveOrder, size: int) -> list[Event]:
    name = naive.quoted[order.order_id][0]
    group = naive.mmp_groups[order.user_id, name]
    if group.frozen is not None:
        return []
    if group.began is None or naive.now_us >= group.began + group.config.interval_s * SECOND:
        group.forget()
        group.began = naive.now_us
    group.quantity += size
    config = group.config
    sign = 1 if order.side == "bid" else -1
    has_greeks = config.delta_limit_milli is not UNSET or config.vega_limit_micros is not UNSET
    if has_greeks:
        model = _model(naive, order)
        call = naive.instruments[order.instrument_id].terms.option_type == "call"
        delta, vega = model or (Fraction(1 if call else -1), Fraction(0))
        group.delta += sign * Fraction(size, 1000) * delta
        group.vega += sign * Fraction(size, 1000) * vega
    limit = _limit_reached(group)
    if limit is None:
        return []
    group.frozen = naive.now_us + config.frozen_s * SECOND if config.frozen_s else 0
    sums = (group.delta * 1000 // 1, group.vega // 1) if has_greeks else ()
    told = MmpTriggered(order.user_id, name, config.asset, limit, group.frozen, group.quantity, *sums)
    group.forget()
    pulled = [it for it in resting(naive, order.user_id, name) if it is not taker]
    return [told, *naive.cancel_each(pulled, "mmp_trigger")]


def _limit_reached(group: NaiveGroup) -> MmpLimit | None:
    config = group.config
    if config.quantity_limit_milli is not UNSET and group.quantity >= config.quantity_limit_milli:
        return "quantity"
    if config.delta_limit_milli is not UNSET and abs(group.delta) >= Fraction(config.delta_limit_milli, 1000):
        return "delta"
    if config.vega_limit_micros is not UNSET and abs(group.vega) >= config.vega_limit_micros:
        return "vega"
    return None


def _model(naive: NaiveExchange, order: NaiveOrder) -> tuple[Fraction, Fraction] | None:
    """Return the delta of an option, and its vega in micros for one point, by its smile at the last index price."""
    terms = naive.instruments[order.instrument_id].terms
    smile = naive.smiles.get((terms.asset, terms.expiration_s))
    forward = naive.forward_of(terms)
    if smile is None or forward is None:
        return None
    price, ts_us = forward
    model = Slice(smile, price, terms.expiration_s * SECOND - ts_us)
    delta = Fraction(model.delta_nano(terms.strike_micros, terms.option_type == "call"), 1_000_000_000)
    return delta, Fraction(model.vega_micros(terms.strike_micros), 100)
