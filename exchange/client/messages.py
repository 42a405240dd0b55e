"""What channels send, typed: one message class a kind of channel."""

from typing import Any, NamedTuple

import msgspec

from exchange.client.book import Book
from exchange.projections.wire_types import (
    Balance,
    IndexPrice,
    Instrument,
    MarketStatus,
    OrderView,
    PositionView,
    Settlement,
    Ticker,
    Trade,
    UserTrade,
)


class BookMessage(NamedTuple):
    """The book as it is now: what is not taken yet is replaced by what is newer."""

    channel: str
    seq: int
    data: Book


class TradesMessage(NamedTuple):
    channel: str
    seq: int
    data: list[Trade]


class OrdersMessage(NamedTuple):
    """The orders of the user that command `seq` changed, as they were after it."""

    channel: str
    seq: int
    data: list[OrderView]


class UserTradesMessage(NamedTuple):
    channel: str
    seq: int
    data: list[UserTrade]


class BalanceMessage(NamedTuple):
    channel: str
    seq: int
    data: Balance


class PositionsMessage(NamedTuple):
    """The positions of the user that command `seq` changed, as they were after it."""

    channel: str
    seq: int
    data: list[PositionView]


class TickerMessage(NamedTuple):
    """The ticker as it is now: what is not taken yet is replaced by what is newer."""

    channel: str
    seq: int
    data: Ticker


class IndexMessage(NamedTuple):
    channel: str
    seq: int
    data: IndexPrice


class InstrumentsMessage(NamedTuple):
    """The instruments that command `seq` listed, paused, resumed, or ended, as they were after it."""

    channel: str
    seq: int
    data: list[Instrument]


class StatusMessage(NamedTuple):
    channel: str
    seq: int
    data: MarketStatus


class SettlementMessage(NamedTuple):
    channel: str
    seq: int
    data: list[Settlement]


Message = (
    BookMessage
    | TradesMessage
    | OrdersMessage
    | UserTradesMessage
    | BalanceMessage
    | PositionsMessage
    | TickerMessage
    | IndexMessage
    | InstrumentsMessage
    | SettlementMessage
    | StatusMessage
)


class ChannelKind(NamedTuple):
    """A kind of channel. A stream tells what every command changed; the others how things are."""

    message: Any
    decoder: msgspec.json.Decoder[Any]
    is_stream: bool = True


KINDS = {
    "trades": ChannelKind(TradesMessage, msgspec.json.Decoder(list[Trade])),
    "tickers": ChannelKind(TickerMessage, msgspec.json.Decoder(Ticker), is_stream=False),
    "index": ChannelKind(IndexMessage, msgspec.json.Decoder(IndexPrice)),
    "instruments": ChannelKind(InstrumentsMessage, msgspec.json.Decoder(list[Instrument])),
    "status": ChannelKind(StatusMessage, msgspec.json.Decoder(MarketStatus)),
    "settlement": ChannelKind(SettlementMessage, msgspec.json.Decoder(list[Settlement])),
    "user.orders": ChannelKind(OrdersMessage, msgspec.json.Decoder(list[OrderView])),
    "user.trades": ChannelKind(UserTradesMessage, msgspec.json.Decoder(list[UserTrade])),
    "user.positions": ChannelKind(PositionsMessage, msgspec.json.Decoder(list[PositionView])),
    "user.balance": ChannelKind(BalanceMessage, msgspec.json.Decoder(Balance)),
}


def kind_of(channel: str) -> ChannelKind | None:
    """The kind of a channel by its name; None for a book, or for one that nobody knows."""
    return KINDS.get(channel) or KINDS.get(channel.partition(".")[0])


def message_of(channel: str, seq: int, data: msgspec.Raw) -> Message | None:
    """What a channel sent, typed; None where it is a book, which is no message by itself."""
    kind = kind_of(channel)
    if kind is None:
        return None
    decoded = kind.decoder.decode(data)
    message: Message = kind.message(channel, seq if kind.is_stream else decoded.seq, decoded)
    return message
