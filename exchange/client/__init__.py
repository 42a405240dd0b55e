"""A typed asyncio client: `from exchange.client import connect`. See docs/client.md.

Prices and cash are in micros of USDC, sizes in millicontracts, times in microseconds since 1970 (UTC).
"""

from exchange.client.book import Book
from exchange.client.client import Client
from exchange.client.errors import ExchangeError
from exchange.client.messages import (
    BalanceMessage,
    BookMessage,
    ChangesMessage,
    IndexMessage,
    InstrumentsMessage,
    LossesMessage,
    Message,
    OrdersMessage,
    PositionsMessage,
    QuoteMessage,
    SettlementMessage,
    StatusMessage,
    SurfaceMessage,
    TickerMessage,
    TradesMessage,
    UserTradesMessage,
)
from exchange.client.results import OrderBookSnapshot, OrderOptions, PastMoment, PlaceResult
from exchange.client.subscription import Subscription
from exchange.keys.client_key import ClientKey, read_client_key
from exchange.projections.wire_types import CancelAllResult, CancelResult, DeliveryPrice, MarginResult, Receipt

connect = Client

__all__ = [
    "BalanceMessage",
    "Book",
    "BookMessage",
    "CancelAllResult",
    "CancelResult",
    "ChangesMessage",
    "Client",
    "ClientKey",
    "DeliveryPrice",
    "ExchangeError",
    "IndexMessage",
    "InstrumentsMessage",
    "LossesMessage",
    "MarginResult",
    "Message",
    "OrderBookSnapshot",
    "OrderOptions",
    "OrdersMessage",
    "PastMoment",
    "PlaceResult",
    "PositionsMessage",
    "QuoteMessage",
    "Receipt",
    "SettlementMessage",
    "StatusMessage",
    "Subscription",
    "SurfaceMessage",
    "TickerMessage",
    "TradesMessage",
    "UserTradesMessage",
    "connect",
    "read_client_key",
]
