"""A typed asyncio client: `from exchange.client import connect`. See docs/client.md."""

from exchange.client.book import Book
from exchange.client.client import Client
from exchange.client.errors import ExchangeError
from exchange.client.subscription import Subscription

connect = Client

__all__ = ["Book", "Client", "ExchangeError", "Subscription", "connect"]
