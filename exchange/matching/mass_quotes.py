"""Mass quotes: many two-sided quotes in one command, replaced in place, and cancelled by what they have in common.

The rules are Deribit's (https://docs.deribit.com/articles/mass-quotes-specifications): the account needs
cancel-on-disconnect and an MMP group, a group has one quote per side of an instrument, and each side is checked by
itself: one may be refused while the other is placed. A refused side leaves the quote that it would have replaced, as
on Deribit since the release of 25 November 2025 (https://support.deribit.com/hc/en-us/articles/31600682719645).
A command that contradicts itself is refused as a whole.
"""

from msgspec import UNSET, UnsetType

from exchange.domain.black76 import ONE
from exchange.domain.commands import CancelQuotes, InstrumentQuote, MassQuote, PlaceOrder, QuoteSide
from exchange.domain.enums import Side
from exchange.domain.events import AllCancelled, MassQuoted, QuoteRefused
from exchange.domain.reasons import Reason
from exchange.domain.units import PPM, QUOTES_MAX
from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_each, cancel_resting
from exchange.matching.execution import accept
from exchange.matching.liquidation import liquidate_traders
from exchange.matching.maker_protection import delta_nano
from exchange.matching.mmp_groups import MmpGroup
from exchange.matching.order_changes import change_terms
from exchange.matching.order_checks import Edit, why_not_edited, why_not_placed, why_would_trade
from exchange.matching.refusal import FailedCheck, Result
from exchange.matching.state import Changes, State

# A quote without a set is in this one.
NO_SET = ""


def mass_quote(state: State, ts_us: int, command: MassQuote) -> Result:
    """Place, replace and cancel the quotes in the order of the command. A freeze refuses those that follow it."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    if failed := _why_contradictory(command):
        return failed
    group = account.mmp_groups.get(command.mmp_group)
    if group is None:
        return FailedCheck(Reason.MMP_GROUP_UNKNOWN)
    if not account.cancel_on_disconnect and command.connection is UNSET:
        return FailedCheck(Reason.CANCEL_ON_DISCONNECT_OFF)
    group.thaw(ts_us)
    if group.frozen_until_us is not None:
        return FailedCheck(Reason.MMP_FROZEN, {"ts_us": ts_us, "frozen_until_us": group.frozen_until_us})
    quoting = _Quoting(state, ts_us, account, group, command.connection or 0)
    for quote in command.quotes:
        quoting.apply(quote)
    changes = quoting.changes
    changes.events.append(MassQuoted(account.user_id, group.name, command.quote_id, quoting.changed, quoting.unchanged))
    liquidate_traders(state, ts_us, changes)
    return changes.take_events()


def cancel_quotes(state: State, command: CancelQuotes) -> Result:
    """Cancel the user's quotes that the command names, oldest first."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    if command.instrument_id is not UNSET and not state.knows(command.instrument_id):
        return FailedCheck(Reason.INSTRUMENT_NOT_FOUND)
    if command.asset is not UNSET and not any(book.asset == command.asset for book in state.books.values()):
        return FailedCheck(Reason.UNKNOWN_ASSET)
    if command.mmp_group is not UNSET and command.mmp_group not in account.mmp_groups:
        return FailedCheck(Reason.MMP_GROUP_UNKNOWN)
    orders = [order for order in account.open_orders.values() if _fits(state, command, order)]
    changes = Changes()
    cancel_each(state, changes, orders, "user_request")
    changes.events.append(AllCancelled(account.user_id, len(orders)))
    return changes.take_events()


class _Quoting:
    """One mass quote under way: the orders that it placed or changed, with their sets, and those that it left."""

    def __init__(self, state: State, ts_us: int, account: Account, group: MmpGroup, connection: int) -> None:
        self.state = state
        self.ts_us = ts_us
        self.account = account
        self.group = group
        self.connection = connection
        self.changes = Changes()
        self.changed: list[tuple[int, str]] = []
        self.unchanged: list[int] = []

    def apply(self, quote: InstrumentQuote) -> None:
        """Set the sides of one quote, in the order in which they cannot cross each other.

        As on Deribit, the ask moves first if both move up, and the bid if both move down.
        """
        if _asks_first(quote, self.group.quote(quote.instrument_id, "ask")):
            self._set_side(quote, "ask", quote.ask)
            self._set_side(quote, "bid", quote.bid)
        else:
            self._set_side(quote, "bid", quote.bid)
            self._set_side(quote, "ask", quote.ask)

    def _set_side(self, quote: InstrumentQuote, side: Side, terms: QuoteSide | UnsetType) -> None:
        if terms is UNSET:
            return
        old = self.group.quote(quote.instrument_id, side)
        if old is not None:
            # The quote belongs to the connection that sent it last, also if its terms stay.
            old.connection = self.connection
        if terms.size_milli == 0:
            if old is not None:
                cancel_resting(self.state, self.changes, old, "user_request")
            return
        refusal = self._place(quote, side, terms) if old is None else self._replace(quote, old, terms)
        if refusal is not None:
            self.changes.events.append(QuoteRefused(self.account.user_id, quote.instrument_id, side, refusal))

    def _place(self, quote: InstrumentQuote, side: Side, terms: QuoteSide) -> Reason | None:
        """Place a quote as a new order. Return why not."""
        size_milli = terms.size_milli
        if size_milli is None:
            return Reason.NO_QUOTE
        state, account, group = self.state, self.account, self.group
        book = state.books.get(quote.instrument_id)
        if reason := self._why_not_in_group(quote.instrument_id, book, side, terms.price_micros):
            return reason
        command = PlaceOrder(
            account.user_id, quote.instrument_id, side, "limit", "gtc", terms.price_micros, size_milli, terms.post_only
        )
        if failed := why_not_placed(state, self.ts_us, account, book, None, command, size_milli):
            return failed.reason
        assert book is not None, "a quote in no instrument passed every check"
        price = terms.price_micros
        order = Order(
            state.next_order_id,
            account.user_id,
            book,
            side,
            "limit",
            "gtc",
            terms.post_only,
            None,
            price,
            size_milli,
            size_milli,
            price,
            size_milli,
            connection=self.connection,
        )
        order.mmp_group, order.quote_set_id = group.name, quote.quote_set_id or NO_SET
        group.file(order)
        self.changed.append((order.order_id, order.quote_set_id))
        accept(state, self.changes, order)
        return None

    def _replace(self, quote: InstrumentQuote, order: Order, terms: QuoteSide) -> Reason | None:
        """Give the resting quote new terms. Return why not. `size_milli` is the part that is open after it."""
        state, account = self.state, self.account
        open_milli = order.remaining_milli if terms.size_milli is None else terms.size_milli
        quote_set_id = quote.quote_set_id or NO_SET
        if (order.price_micros, order.remaining_milli, order.quote_set_id) == (
            terms.price_micros,
            open_milli,
            quote_set_id,
        ):
            self.unchanged.append(order.order_id)
            return None
        if reason := self._why_not_in_group(order.book.instrument_id, order.book, order.side, terms.price_micros):
            return reason
        size_milli = order.size_milli - order.remaining_milli + open_milli
        edit = Edit(order, terms.price_micros, size_milli, open_milli)
        if failed := why_not_edited(state, self.ts_us, account, edit):
            return failed.reason
        if terms.post_only and why_would_trade(state, account, order.book, order.side, terms.price_micros):
            return Reason.POST_ONLY_WOULD_TRADE
        keeps_place = terms.price_micros == order.price_micros and open_milli <= order.remaining_milli
        order.quote_set_id = quote_set_id
        self.changed.append((order.order_id, quote_set_id))
        change_terms(state, self.changes, edit, keeps_place)
        return None

    def _why_not_in_group(
        self, instrument_id: str, book: OrderBook | None, side: Side, price_micros: int
    ) -> Reason | None:
        """Return why the group cannot have a quote on this side at this price."""
        group = self.group
        if group.frozen_until_us is not None:
            return Reason.MMP_FROZEN
        if book is None:
            return self.state.why_not_listed(instrument_id)
        if book.asset != group.asset:
            return Reason.MMP_GROUP_OF_OTHER_ASSET
        other = group.quote(book.instrument_id, "ask" if side == "bid" else "bid")
        if other is None:
            return None
        assert other.price_micros is not None, "a market order rests"
        crosses = price_micros >= other.price_micros if side == "bid" else price_micros <= other.price_micros
        return Reason.QUOTE_CROSSES_OWN if crosses else None


def _why_contradictory(command: MassQuote) -> FailedCheck | None:
    """Fail if there are too many quotes or none, or if one names an instrument again, no side, or crosses itself."""
    count = len(command.quotes)
    if not 0 < count <= QUOTES_MAX:
        return FailedCheck(Reason.INVALID_QUOTES, {"quotes": count, "max_quotes": QUOTES_MAX})
    seen: dict[str, None] = {}
    for number, quote in enumerate(command.quotes):
        bid, ask = quote.bid, quote.ask
        is_empty = bid is UNSET and ask is UNSET
        is_crossed = (
            bid is not UNSET
            and ask is not UNSET
            and bid.size_milli != 0
            and ask.size_milli != 0
            and bid.price_micros >= ask.price_micros
        )
        if is_empty or is_crossed or quote.instrument_id in seen:
            return FailedCheck(Reason.INVALID_QUOTES, {"quote": number, "instrument_id": quote.instrument_id})
        seen[quote.instrument_id] = None
    return None


def _asks_first(quote: InstrumentQuote, old_ask: Order | None) -> bool:
    """True if the ask moves up, or is only cancelled. Then the bid may move up to it; otherwise the bid goes first."""
    bid, ask = quote.bid, quote.ask
    if bid is UNSET or ask is UNSET or bid.size_milli == 0:
        return False
    if ask.size_milli == 0:
        return True
    return old_ask is not None and old_ask.price_micros is not None and ask.price_micros > old_ask.price_micros


def _fits(state: State, command: CancelQuotes, order: Order) -> bool:
    """True if the order is a quote that the command names. Filters that are not given fit any quote."""
    if order.mmp_group is None:
        return False
    if command.instrument_id is not UNSET and order.book.instrument_id != command.instrument_id:
        return False
    if command.asset is not UNSET and order.book.asset != command.asset:
        return False
    if command.mmp_group is not UNSET and order.mmp_group != command.mmp_group:
        return False
    if command.quote_set_id is not UNSET and order.quote_set_id != command.quote_set_id:
        return False
    if command.min_delta_ppm is UNSET and command.max_delta_ppm is UNSET:
        return True
    delta = delta_nano(state, order.book)
    if delta is None:
        return False
    # Billionths to millionths, without rounding.
    if command.min_delta_ppm is not UNSET and delta < command.min_delta_ppm * (ONE // PPM):
        return False
    return command.max_delta_ppm is UNSET or delta <= command.max_delta_ppm * (ONE // PPM)
