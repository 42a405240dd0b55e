"""Subscriptions: async iterators of typed messages that go on after a break without a hole and without a repeat."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from exchange.client.book import Book, BookUpdate
from exchange.client.connection import Ask
from exchange.client.errors import ExchangeError
from exchange.client.messages import BookMessage, Message, kind_of, message_of
from exchange.domain.units import NUMBER_MAX

_decode_update = msgspec.json.Decoder(BookUpdate).decode


class Subscription:
    """What these channels send. Streams wait here until they are taken, however many; of books only the newest state.

    Iterating raises ExchangeError once the client has ended, and stops once the subscription is closed.
    """

    def __init__(self, channels: Sequence[str], from_seq: int | None, leave: Callable[[Subscription], Any]) -> None:
        self.channels = list(channels)
        self._leave = leave
        self._streams = [channel for channel in channels if (kind := kind_of(channel)) and kind.is_stream]
        self._from_seq = from_seq  # where the streams begin, or go on after a break
        self._seen: dict[str, int] = {}  # the last seq by stream
        self._books = {channel: Book(channel.split(".")[1]) for channel in channels if channel.startswith("book.")}
        self._waiting: deque[Message | str] = deque()  # messages of streams; names of others that have something new
        self._latest: dict[str, Message] = {}  # of those others
        self._has_news = asyncio.Event()
        self._end: ExchangeError | None = None
        self._is_closed = False

    @property
    def has_begun(self) -> bool:
        """Whether it is known where it begins: until then a new connection is nothing to it."""
        return self._from_seq is not None or not self._streams

    async def begin(self, ask: Ask) -> None:
        """Subscribe: at first from now on, or from `from_seq`; after a break from where it was. ExchangeError."""
        if not self._streams:
            await ask("public/subscribe", {"channels": self.channels})
            return
        if self._from_seq is None:
            self._from_seq = await _next_seq(ask, self._streams)
        await ask("public/subscribe", {"channels": self.channels, "from_seq": self._from_seq})

    def end(self, error: ExchangeError) -> None:
        """Nothing comes any more."""
        self._end = error
        self._has_news.set()

    async def close(self) -> None:
        """Unsubscribe."""
        self._is_closed = True
        self._has_news.set()
        await self._leave(self)

    def take(self, channel: str, seq: int, data: msgspec.Raw) -> bool:
        """Take what was sent; False where the channel has to be subscribed to again, because something was missed."""
        book = self._books.get(channel)
        if book is not None:
            return self._take_book(channel, book, _decode_update(data))
        if channel not in self._streams:
            if (state := message_of(channel, seq, data)) is not None:
                self._replace(state)
        elif seq > self._seen.get(channel, 0) and (message := message_of(channel, seq, data)) is not None:
            self._seen[channel] = seq
            self._from_seq = max(seq, self._from_seq or 0)
            self._waiting.append(message)
            self._has_news.set()
        return True

    def poll(self) -> Message | None:
        """The next message, if there is one."""
        if not self._waiting:
            return None
        first = self._waiting.popleft()
        return self._latest.pop(first) if isinstance(first, str) else first

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        while (message := self.poll()) is None:
            if self._is_closed:
                raise StopAsyncIteration
            if self._end is not None:
                raise self._end
            self._has_news.clear()
            await self._has_news.wait()
        return message

    def _take_book(self, channel: str, book: Book, update: BookUpdate) -> bool:
        was_whole = bool(book.seq)
        if book.take(update):
            self._replace(BookMessage(channel, book.seq, book))
            return True
        return not was_whole  # a snapshot is on its way already

    def _replace(self, message: Message) -> None:
        if message.channel not in self._latest:
            self._waiting.append(message.channel)
        self._latest[message.channel] = message
        self._has_news.set()


async def _next_seq(ask: Ask, streams: list[str]) -> int:
    """The next command there will be: the exchange names it to whoever asks for something beyond it."""
    try:
        await ask("public/subscribe", {"channels": streams, "from_seq": NUMBER_MAX})
    except ExchangeError as error:
        if error.reason == "from_seq_ahead":
            return int(error.data["next_seq"])
        raise
    raise AssertionError("the exchange has recorded more commands than it can number")
