"""A bot's view of the exchange, built from results and channel messages only."""

from collections.abc import Iterator

import msgspec

from exchange.bots.requests import (
    AccountRequest,
    BotRequest,
    CancelAllRequest,
    CancelRequest,
    EditRequest,
    IndexRequest,
    InstrumentsRequest,
    PlaceRequest,
    TickersRequest,
)
from exchange.client.messages import BalanceMessage, IndexMessage, Message, OrdersMessage, PositionsMessage
from exchange.domain.enums import Side
from exchange.projections.wire_types import AccountView, IndexPrice, Instrument, OrderView, Ticker

ORDER_GONE_CODES = (1003, 1008)
# The instrument_id and the side of a quote.
QuoteKey = tuple[str, Side]


class _CancelAllSeq(msgspec.Struct):
    seq: int


class View:
    """The unexpired instruments, the index prices, and the bot's orders, positions and cash at time `now_us`.

    `orders` holds the open orders by order_id, `positions_milli` the positions that are not zero, by instrument_id,
    `prices_micros` the index prices by asset, and `tickers` those of the asset requested last. `refused` holds the
    error codes of post-only orders and of edits that the exchange refused, until the bot clears it.
    """

    def __init__(self) -> None:
        self.now_us = 0
        self.instruments: dict[str, Instrument] = {}
        self.prices_micros: dict[str, int] = {}
        self.orders: dict[int, OrderView] = {}
        self.positions_milli: dict[str, int] = {}
        self.available_micros = 0
        self.tickers: list[Ticker] = []
        self.refused: dict[QuoteKey, int] = {}
        # Messages up to these seqs are ignored: a newer result included their changes already.
        self._orders_seq = self._account_seq = 0

    def assets(self) -> list[str]:
        """The assets with listed options."""
        return list(dict.fromkeys(instrument.asset for instrument in self.instruments.values()))

    def tradable(self) -> Iterator[Instrument]:
        """The instruments that are open for trading now."""
        for instrument in self.instruments.values():
            if instrument.state == "open" and instrument.expiration_s * 1_000_000 > self.now_us:
                yield instrument

    def on_message(self, message: Message) -> None:
        """Update the view from a channel message."""
        match message:
            case IndexMessage(data=index):
                self.prices_micros[index.asset] = index.price_micros
            case OrdersMessage(seq=seq, data=orders) if seq > self._orders_seq:
                for order in orders:
                    self._update_order(order)
            case PositionsMessage(seq=seq, data=positions) if seq > self._account_seq:
                for position in positions:
                    self._update_position(position.instrument_id, position.quantity_milli)
            case BalanceMessage(seq=seq, data=balance) if seq > self._account_seq:
                self.available_micros = balance.available_micros
            case _:
                pass

    def on_result(self, request: BotRequest, result: bytes) -> None:
        """Update the view from the JSON result of a request. Changes of orders come from the channels instead."""
        match request:
            case InstrumentsRequest():
                instruments = msgspec.json.decode(result, type=list[Instrument])
                self.instruments = {instrument.instrument_id: instrument for instrument in instruments}
            case AccountRequest():
                account = msgspec.json.decode(result, type=AccountView)
                self._account_seq = account.seq
                self.available_micros = account.available_micros
                self.positions_milli.clear()
                for position in account.positions:
                    self._update_position(position.instrument_id, position.quantity_milli)
            case IndexRequest():
                index = msgspec.json.decode(result, type=IndexPrice)
                self.prices_micros[index.asset] = index.price_micros
            case TickersRequest():
                self.tickers = msgspec.json.decode(result, type=list[Ticker])
            case CancelAllRequest():
                self._orders_seq = msgspec.json.decode(result, type=_CancelAllSeq).seq
                self.orders.clear()
            case _:
                pass

    def on_error(self, request: BotRequest, code: int) -> None:
        """Update the view from an error code: an order that is closed or unknown is no longer open."""
        match request:
            case EditRequest(order_id) | CancelRequest(order_id) if code in ORDER_GONE_CODES:
                self.orders.pop(order_id, None)
            case EditRequest(order_id) if order_id in self.orders:
                order = self.orders[order_id]
                self.refused[order.instrument_id, order.side] = code
            case PlaceRequest(side, instrument_id, post_only=True):
                self.refused[instrument_id, side] = code
            case _:
                pass

    def _update_order(self, order: OrderView) -> None:
        if order.status in ("open", "partially_filled"):
            self.orders[order.order_id] = order
        else:
            self.orders.pop(order.order_id, None)

    def _update_position(self, instrument_id: str, quantity_milli: int) -> None:
        if quantity_milli:
            self.positions_milli[instrument_id] = quantity_milli
        else:
            self.positions_milli.pop(instrument_id, None)
