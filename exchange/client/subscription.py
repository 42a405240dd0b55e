"""Subscriptions: async iterators of typed messages. After a break they continue without a gap and without a repeat."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from exchange.client.book import Book, BookUpdate
from exchange.client.connection import SendRequest
from exchange.client.errors import ExchangeError
from exchange.client.messages import BookMessage, Message, decoder_of, message_of
from exchange.domain.units import NUMBER_MAX

_decode_update = msgspec.json.Decoder(BookUpdate).decode


class Subscription:
    """The messages of one or more channels, as an async iterator. `Client.subscribe` makes it.

    Every message of a stream is kept until the caller reads it, without a limit, and so is a message with candles, or
    with tickers or quotes of an asset. Of each other book, ticker and quote only the newest state is kept. Iterating
    stops when the subscription is closed, and raises ExchangeError when the client has ended or the exchange cannot
    continue the subscription after a break.
    """

    def __init__(
        self, channels: Sequence[str], from_seq: int | None, unsubscribe: Callable[[Subscription], Any]
    ) -> None:
        self.channels = list(channels)
        self._unsubscribe = unsubscribe
        self._streams = [channel for channel in channels if (decoder := decoder_of(channel)) and decoder.is_stream]
        # The first command of the streams, at the start and when they continue after a break.
        self._from_seq = from_seq
        self._last_seq: dict[str, int] = {}
        self._books = {channel: Book(channel.split(".")[1]) for channel in channels if channel.startswith("book.")}
        # Messages that are all kept, and the names of the channels that have a new state in `_latest`.
        self._unread: deque[Message | str] = deque()
        self._latest: dict[str, Message] = {}
        self._changed = asyncio.Event()
        self._error: ExchangeError | None = None
        self._is_closed = False

    @property
    def has_start(self) -> bool:
        """True if the start of its streams is known. Only then can it be continued on a new connection."""
        return self._from_seq is not None or not self._streams

    async def start(self, send: SendRequest) -> None:
        """Subscribe: from now on or from `from_seq`; after a break, from the last message. Raises ExchangeError."""
        if not self._streams:
            await send("public/subscribe", {"channels": self.channels})
            return
        if self._from_seq is not None:
            await send("public/subscribe", {"channels": self.channels, "from_seq": self._from_seq})
            return
        # Without `from_seq` the streams begin with their state. The messages before `next_seq` have arrived by then.
        await send("public/subscribe", {"channels": self.channels})
        next_seq = await _next_seq(send, self._streams)
        self._from_seq = max(next_seq, self._from_seq or 0)

    def fail(self, error: ExchangeError) -> None:
        """End the subscription: reading raises `error` after the messages already received."""
        self._error = error
        self._changed.set()

    async def close(self) -> None:
        """Unsubscribe. Iterating stops after the messages already received. Raises ExchangeError."""
        self._is_closed = True
        self._changed.set()
        await self._unsubscribe(self)

    def receive(self, channel: str, seq: int, data: msgspec.Raw) -> bool:
        """Take a message of a channel. Return False if a change was missed and the book needs a new snapshot."""
        book = self._books.get(channel)
        if book is not None:
            return self._update_book(channel, book, _decode_update(data))
        if channel not in self._streams:
            if (state := message_of(channel, seq, data)) is not None:
                if (decoder := decoder_of(channel)) and decoder.has_parts:
                    self._unread.append(state)
                    self._changed.set()
                else:
                    self._replace(state)
        elif seq > self._last_seq.get(channel, 0) and (message := message_of(channel, seq, data)) is not None:
            self._last_seq[channel] = seq
            self._from_seq = max(seq, self._from_seq or 0)
            self._unread.append(message)
            self._changed.set()
        return True

    def poll(self) -> Message | None:
        """Return the next message without waiting; None if there is none."""
        if not self._unread:
            return None
        first = self._unread.popleft()
        return self._latest.pop(first) if isinstance(first, str) else first

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        while (message := self.poll()) is None:
            if self._is_closed:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        return message

    def _update_book(self, channel: str, book: Book, update: BookUpdate) -> bool:
        was_complete = bool(book.seq)
        if book.apply(update):
            self._replace(BookMessage(channel, book.seq, book))
            return True
        # If the book was incomplete before, a snapshot was requested already.
        return not was_complete

    def _replace(self, message: Message) -> None:
        if message.channel not in self._latest:
            self._unread.append(message.channel)
        self._latest[message.channel] = message
        self._changed.set()


async def _next_seq(send: SendRequest, streams: list[str]) -> int:
    """The seq of the next command. The exchange names it when it refuses a `from_seq` beyond it."""
    try:
        await send("public/subscribe", {"channels": streams, "from_seq": NUMBER_MAX})
    except ExchangeError as error:
        if error.reason == "from_seq_ahead":
            return int(error.data["next_seq"])
        raise
    raise AssertionError("the exchange has recorded more commands than it can number")
