"""A typed asyncio client: `from exchange.client import connect`. See docs/client.md.

Prices and cash are in micros of USDC, sizes in millicontracts, times in microseconds since 1970 (UTC).
"""

from exchange.client.book import Book
from exchange.client.client import Client
from exchange.client.errors import ExchangeError
from exchange.client.messages import (
    BalanceMessage,
    BookMessage,
    CandlesMessage,
    ChangesMessage,
    IndexMessage,
    InstrumentsMessage,
    LossesMessage,
    Message,
    MmpTriggersMessage,
    OrdersMessage,
    PositionsMessage,
    QuoteMessage,
    QuotesMessage,
    SettlementMessage,
    StatusMessage,
    SurfaceMessage,
    TickerMessage,
    TickersMessage,
    TradesMessage,
    UserTradesMessage,
)
from exchange.client.results import (
    LinkedOrderOptions,
    OrderBookSnapshot,
    OrderOptions,
    PastMoment,
    PastSeqRange,
    PlaceResult,
    QuoteFilter,
    QuoteOptions,
    QuoteSideOptions,
)
from exchange.client.subscription import Subscription
from exchange.keys.client_key import ClientKey, read_client_key
from exchange.projections.wire_types import (
    CancelAllResult,
    CancelResult,
    Candle,
    Candles,
    DeliveryPrice,
    MarginResult,
    MomentResult,
    Receipt,
    Timeline,
    TimelineBucket,
    TimelineMark,
)

connect = Client

__all__ = [
    "BalanceMessage",
    "Book",
    "BookMessage",
    "CancelAllResult",
    "CancelResult",
    "Candle",
    "Candles",
    "CandlesMessage",
    "ChangesMessage",
    "Client",
    "ClientKey",
    "DeliveryPrice",
    "ExchangeError",
    "IndexMessage",
    "InstrumentsMessage",
    "LinkedOrderOptions",
    "LossesMessage",
    "MarginResult",
    "Message",
    "MmpTriggersMessage",
    "MomentResult",
    "OrderBookSnapshot",
    "OrderOptions",
    "OrdersMessage",
    "PastMoment",
    "PastSeqRange",
    "PlaceResult",
    "PositionsMessage",
    "QuoteFilter",
    "QuoteMessage",
    "QuoteOptions",
    "QuoteSideOptions",
    "QuotesMessage",
    "Receipt",
    "SettlementMessage",
    "StatusMessage",
    "Subscription",
    "SurfaceMessage",
    "TickerMessage",
    "TickersMessage",
    "Timeline",
    "TimelineBucket",
    "TimelineMark",
    "TradesMessage",
    "UserTradesMessage",
    "connect",
    "read_client_key",
]
