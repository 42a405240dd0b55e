"""Who listens to what, and what they are sent: streams after every command, books after every batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.gateway.channels import Channel
from exchange.gateway.jsonrpc import notification_text
from exchange.gateway.streams import Key, Recent, key_of, texts, told_of
from exchange.projections.depth import Depth
from exchange.projections.shapes import Level
from exchange.projections.views import Change, Views

if TYPE_CHECKING:
    from exchange.gateway.session import Session


class BookSnapshot(msgspec.Struct, tag_field="type", tag="snapshot"):
    instrument_id: str
    seq: int
    ts_us: int
    bids: list[Level]
    asks: list[Level]


class BookChange(msgspec.Struct, tag_field="type", tag="change"):
    """The levels that changed since `prev_seq`, with their new values. Size 0: the level left the view."""

    prev_seq: int
    seq: int
    ts_us: int
    bids: list[Level]
    asks: list[Level]


_UNLISTED = Depth()  # of an instrument before it was listed, which only a replay can come to


class Feeds:
    """All subscriptions. Notifications leave in `seq` order: those of a command after its answer, books at the end."""

    def __init__(self, views: Views) -> None:
        self.recent = Recent(views.seq)
        self._views = views
        self._listeners: dict[Key, dict[Session, None]] = {}  # of streams
        self._books: dict[str, dict[int, _BookFeed]] = {}  # by instrument and depth
        self._changed_books: dict[str, None] = {}
        self._cancel_on_disconnect: dict[str, set[Session]] = {}

    def join(self, session: Session, channel: Channel) -> None:
        """Start sending a channel; a book begins with a snapshot."""
        if channel.kind != "book":
            self._listeners.setdefault(key_of(channel.name, session.user_id), {})[session] = None
            return
        books = self._books.setdefault(channel.instrument_id, {})
        book = books.get(channel.depth)
        if book is None:
            book = books[channel.depth] = _BookFeed(channel, self._views)
        book.flush(self._views)
        book.join(session, self._views)

    def leave(self, session: Session, channel: Channel) -> None:
        """Stop sending a channel, where it was being sent."""
        if channel.kind != "book":
            key = key_of(channel.name, session.user_id)
            listeners = self._listeners.get(key, {})
            listeners.pop(session, None)
            if not listeners:
                self._listeners.pop(key, None)
        elif book := self._books.get(channel.instrument_id, {}).get(channel.depth):
            book.seen_seq.pop(session, None)
            if not book.seen_seq:
                del self._books[channel.instrument_id][channel.depth]

    def forget(self, session: Session) -> None:
        """The connection is gone."""
        for channel in session.channels.values():
            self.leave(session, channel)

    def set_cancel_on_disconnect(self, session: Session, enabled: bool) -> bool:
        """Note whether this connection wants it. Returns whether any connection of the same user does."""
        sessions = self._cancel_on_disconnect.setdefault(session.user_id, set())
        (sessions.add if enabled else sessions.discard)(session)
        return bool(sessions)

    def move_to(self, views: Views) -> None:
        """Go on from another moment: books begin again there, streams say nothing of what is left out."""
        self._views = views
        self.recent.restart(views.seq)
        self._changed_books = {}
        for books in self._books.values():
            for depth, book in books.items():
                books[depth] = begun = _BookFeed(book.channel, views)
                for session in book.seen_seq:
                    begun.join(session, views)

    def publish(self, change: Change) -> None:
        """Send what one command has to tell on the streams, and remember it; books are sent by `flush`."""
        if change.books:
            self._changed_books |= dict.fromkeys(change.books)
        told = told_of(change, self._views)
        self.recent.add(told)
        if self._listeners:
            for key, text in texts(told, self._listeners):
                for session in self._listeners[key]:
                    session.notify(key[0], text)

    def flush(self) -> None:
        """Send the changes of all books since the last flush, merged."""
        for instrument_id in self._changed_books:
            for book in self._books.get(instrument_id, {}).values():
                book.flush(self._views)
        self._changed_books = {}


class _BookFeed:
    """One book channel: what its listeners have seen, and up to which seq each has seen it."""

    def __init__(self, channel: Channel, views: Views) -> None:
        self.channel = channel
        self._bids, self._asks = self._levels(views)
        self.seen_seq: dict[Session, int] = {}

    def join(self, session: Session, views: Views) -> None:
        """Send a snapshot, as of now."""
        self.seen_seq[session] = views.seq
        snapshot = BookSnapshot(self.channel.instrument_id, views.seq, views.ts_us, self._bids, self._asks)
        session.notify(self.channel.name, notification_text(self.channel.name, snapshot))

    def flush(self, views: Views) -> None:
        """Send the levels that differ from what was sent last; nothing where none does."""
        bids, asks = self._levels(views)
        bid_changes, ask_changes = _differences(self._bids, bids), _differences(self._asks, asks)
        if not bid_changes and not ask_changes:
            return
        self._bids, self._asks = bids, asks
        texts: dict[int, bytes] = {}
        for session, prev_seq in self.seen_seq.items():
            text = texts.get(prev_seq)
            if text is None:
                change = BookChange(prev_seq, views.seq, views.ts_us, bid_changes, ask_changes)
                text = texts[prev_seq] = notification_text(self.channel.name, change)
            session.notify(self.channel.name, text)
        self.seen_seq = dict.fromkeys(self.seen_seq, views.seq)

    def _levels(self, views: Views) -> tuple[list[Level], list[Level]]:
        depth = views.depths.get(self.channel.instrument_id, _UNLISTED)
        return depth.bids(self.channel.depth), depth.asks(self.channel.depth)


def _differences(old: list[Level], new: list[Level]) -> list[Level]:
    """The levels of `new` that are not in `old`, and those that left, with size 0."""
    if old == new:
        return []
    before = {level.price_micros: level for level in old}
    changes = [level for level in new if before.pop(level.price_micros, None) != level]
    return changes + [Level(price_micros, 0, 0) for price_micros in before]
