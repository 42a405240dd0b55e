"""What a bot knows of the exchange, from answers and messages alone."""

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
    TickersRequest,
)
from exchange.client.messages import BalanceMessage, IndexMessage, Message, OrdersMessage, PositionsMessage
from exchange.projections.wire_types import AccountView, IndexPrice, Instrument, OrderView, Ticker

ORDER_IS_GONE = (1003, 1008)


class _CancelledAll(msgspec.Struct):
    seq: int


class View:
    """The live instruments, the indexes, and the bot's own orders, positions and money, as of `now_us`."""

    def __init__(self) -> None:
        self.now_us = 0
        self.instruments: dict[str, Instrument] = {}
        self.prices_micros: dict[str, int] = {}  # of the index, by asset
        self.orders: dict[int, OrderView] = {}  # those that are open
        self.positions_milli: dict[str, int] = {}  # those that are not flat
        self.available_micros = 0
        self.tickers: list[Ticker] = []  # of the asset looked at last
        self._orders_seq = self._account_seq = 0  # what happened up to there is known already

    def assets(self) -> list[str]:
        """Those that options are listed on."""
        return list(dict.fromkeys(instrument.asset for instrument in self.instruments.values()))

    def tradable(self) -> Iterator[Instrument]:
        """The instruments that can be traded now."""
        for instrument in self.instruments.values():
            if instrument.state == "open" and instrument.expiration_s * 1_000_000 > self.now_us:
                yield instrument

    def take(self, message: Message) -> None:
        """Hear what a channel sent."""
        match message:
            case IndexMessage(data=index):
                self.prices_micros[index.asset] = index.price_micros
            case OrdersMessage(seq=seq, data=orders) if seq > self._orders_seq:
                for order in orders:
                    self._take_order(order)
            case PositionsMessage(seq=seq, data=positions) if seq > self._account_seq:
                for position in positions:
                    self._take_position(position.instrument_id, position.quantity_milli)
            case BalanceMessage(seq=seq, data=balance) if seq > self._account_seq:
                self.available_micros = balance.available_micros
            case _:
                pass

    def answered(self, request: BotRequest, result: bytes) -> None:
        """Hear the result of a request, which is JSON. What orders do is heard from the channels."""
        match request:
            case InstrumentsRequest():
                found = msgspec.json.decode(result, type=list[Instrument])
                self.instruments = {instrument.instrument_id: instrument for instrument in found}
            case AccountRequest():
                account = msgspec.json.decode(result, type=AccountView)
                self._account_seq = account.seq
                self.available_micros = account.available_micros
                self.positions_milli.clear()
                for position in account.positions:
                    self._take_position(position.instrument_id, position.quantity_milli)
            case IndexRequest():
                index = msgspec.json.decode(result, type=IndexPrice)
                self.prices_micros[index.asset] = index.price_micros
            case TickersRequest():
                self.tickers = msgspec.json.decode(result, type=list[Ticker])
            case CancelAllRequest():
                self._orders_seq = msgspec.json.decode(result, type=_CancelledAll).seq
                self.orders.clear()
            case _:
                pass

    def refused(self, request: BotRequest, code: int) -> None:
        """Hear that a request was answered with an error."""
        if isinstance(request, EditRequest | CancelRequest) and code in ORDER_IS_GONE:
            self.orders.pop(request.order_id, None)

    def _take_order(self, order: OrderView) -> None:
        if order.status in ("open", "partially_filled"):
            self.orders[order.order_id] = order
        else:
            self.orders.pop(order.order_id, None)

    def _take_position(self, instrument_id: str, quantity_milli: int) -> None:
        if quantity_milli:
            self.positions_milli[instrument_id] = quantity_milli
        else:
            self.positions_milli.pop(instrument_id, None)
