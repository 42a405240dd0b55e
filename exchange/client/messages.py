"""The typed messages of channels: one class for each kind of channel.

`channel` is the name of the channel. `seq` is the command that caused the message; for books, tickers, quotes and
candles, it is the last command that the data includes. Units of `data` are in the names of its fields.
"""

from typing import Any, NamedTuple

import msgspec

from exchange.client.book import Book
from exchange.projections.wire_types import (
    Balance,
    Candles,
    IndexPrice,
    Instrument,
    MarketStatus,
    MarkSurface,
    MmpTriggerView,
    OrderView,
    PositionView,
    Settlement,
    SharedLoss,
    Ticker,
    TopOfBook,
    Trade,
    UserChanges,
    UserTrade,
)


class BookMessage(NamedTuple):
    """A book changed. `data` is the book itself, which the subscription updates in place."""

    channel: str
    seq: int
    data: Book


class TradesMessage(NamedTuple):
    """The trades of one instrument, or of all instruments on an asset, that command `seq` made."""

    channel: str
    seq: int
    data: list[Trade]


class OrdersMessage(NamedTuple):
    """The user's orders that command `seq` changed, as they were after it."""

    channel: str
    seq: int
    data: list[OrderView]


class UserTradesMessage(NamedTuple):
    """The user's trades that command `seq` made."""

    channel: str
    seq: int
    data: list[UserTrade]


class BalanceMessage(NamedTuple):
    """The user's balance after command `seq`. The first one comes at once."""

    channel: str
    seq: int
    data: Balance


class PositionsMessage(NamedTuple):
    """The user's positions that command `seq` changed, as they were after it. The first message has all of them."""

    channel: str
    seq: int
    data: list[PositionView]


class ChangesMessage(NamedTuple):
    """The user's orders, trades and positions that command `seq` made or changed."""

    channel: str
    seq: int
    data: UserChanges


class TickerMessage(NamedTuple):
    """The newest ticker of an instrument. It replaces an older ticker that the caller has not read yet."""

    channel: str
    seq: int
    data: Ticker


class QuoteMessage(NamedTuple):
    """The newest best bid and ask of an instrument. They replace older ones that the caller has not read yet."""

    channel: str
    seq: int
    data: TopOfBook


class TickersMessage(NamedTuple):
    """The tickers of the instruments on an asset that changed. The first message has all that have not expired."""

    channel: str
    seq: int
    data: list[Ticker]


class QuotesMessage(NamedTuple):
    """Best bid and ask of the instruments on an asset that changed. The first message has all that have not expired."""

    channel: str
    seq: int
    data: list[TopOfBook]


class CandlesMessage(NamedTuple):
    """The candles of an instrument or of an index that changed or began. The last one is running.

    After a break the first message has the running candle alone: `Client.get_candles` has those before.
    """

    channel: str
    seq: int
    data: Candles


class IndexMessage(NamedTuple):
    """The index price that command `seq` set."""

    channel: str
    seq: int
    data: IndexPrice


class SurfaceMessage(NamedTuple):
    """The volatility surface that command `seq` changed."""

    channel: str
    seq: int
    data: MarkSurface


class InstrumentsMessage(NamedTuple):
    """The instruments that command `seq` listed, paused, resumed or expired, as they were after it."""

    channel: str
    seq: int
    data: list[Instrument]


class StatusMessage(NamedTuple):
    """The exchange was halted or reopened by command `seq`."""

    channel: str
    seq: int
    data: MarketStatus


class SettlementMessage(NamedTuple):
    """The series that command `seq` settled, or could not settle yet."""

    channel: str
    seq: int
    data: list[Settlement]


class LossesMessage(NamedTuple):
    """The loss of the settlement `seq` that winners bore: all of them, or the user alone."""

    channel: str
    seq: int
    data: SharedLoss


class MmpTriggersMessage(NamedTuple):
    """The user's MMP groups that command `seq` froze."""

    channel: str
    seq: int
    data: list[MmpTriggerView]


Message = (
    BookMessage
    | TradesMessage
    | OrdersMessage
    | UserTradesMessage
    | BalanceMessage
    | PositionsMessage
    | ChangesMessage
    | TickerMessage
    | QuoteMessage
    | TickersMessage
    | QuotesMessage
    | CandlesMessage
    | IndexMessage
    | SurfaceMessage
    | InstrumentsMessage
    | SettlementMessage
    | LossesMessage
    | MmpTriggersMessage
    | StatusMessage
)


class ChannelDecoder(NamedTuple):
    """The message class and the decoder of a kind of channel.

    A stream has a message for every command that changed something. The other channels send only the newest state. If
    a message `has_parts`, it has the parts of the state that changed.
    """

    message: Any
    data: msgspec.json.Decoder[Any]
    is_stream: bool = True
    has_parts: bool = False


DECODERS = {
    "trades": ChannelDecoder(TradesMessage, msgspec.json.Decoder(list[Trade])),
    "tickers": ChannelDecoder(TickerMessage, msgspec.json.Decoder(Ticker), is_stream=False),
    "quote": ChannelDecoder(QuoteMessage, msgspec.json.Decoder(TopOfBook), is_stream=False),
    "tickers.asset": ChannelDecoder(
        TickersMessage, msgspec.json.Decoder(list[Ticker]), is_stream=False, has_parts=True
    ),
    "quote.asset": ChannelDecoder(
        QuotesMessage, msgspec.json.Decoder(list[TopOfBook]), is_stream=False, has_parts=True
    ),
    "candles": ChannelDecoder(CandlesMessage, msgspec.json.Decoder(Candles), is_stream=False, has_parts=True),
    "index": ChannelDecoder(IndexMessage, msgspec.json.Decoder(IndexPrice)),
    "surface": ChannelDecoder(SurfaceMessage, msgspec.json.Decoder(MarkSurface)),
    "instruments": ChannelDecoder(InstrumentsMessage, msgspec.json.Decoder(list[Instrument])),
    "status": ChannelDecoder(StatusMessage, msgspec.json.Decoder(MarketStatus)),
    "settlement": ChannelDecoder(SettlementMessage, msgspec.json.Decoder(list[Settlement])),
    "losses": ChannelDecoder(LossesMessage, msgspec.json.Decoder(SharedLoss)),
    "user.losses": ChannelDecoder(LossesMessage, msgspec.json.Decoder(SharedLoss)),
    "user.mmp_trigger": ChannelDecoder(MmpTriggersMessage, msgspec.json.Decoder(list[MmpTriggerView])),
    "user.orders": ChannelDecoder(OrdersMessage, msgspec.json.Decoder(list[OrderView])),
    "user.trades": ChannelDecoder(UserTradesMessage, msgspec.json.Decoder(list[UserTrade])),
    "user.positions": ChannelDecoder(PositionsMessage, msgspec.json.Decoder(list[PositionView])),
    "user.changes": ChannelDecoder(ChangesMessage, msgspec.json.Decoder(UserChanges)),
    "user.balance": ChannelDecoder(BalanceMessage, msgspec.json.Decoder(Balance)),
}


def decoder_of(channel: str) -> ChannelDecoder | None:
    """Return the decoder of a channel, given its name; None for a book or an unknown channel."""
    kind, _, of = channel.partition(".")
    # The id of an instrument names the currency after its asset.
    of_asset = None if "_" in of else DECODERS.get(f"{kind}.asset")
    return DECODERS.get(channel) or of_asset or DECODERS.get(kind)


def message_of(channel: str, seq: int, data: msgspec.Raw) -> Message | None:
    """Decode a message of a channel; None for a book, whose updates are applied to a `Book` instead."""
    decoder = decoder_of(channel)
    if decoder is None:
        return None
    decoded = decoder.data.decode(data)
    message: Message = decoder.message(channel, seq if decoder.is_stream else _seq_of(decoded), decoded)
    return message


def _seq_of(state: Any) -> int:
    return int(state[-1].seq if isinstance(state, list) else state.seq)
