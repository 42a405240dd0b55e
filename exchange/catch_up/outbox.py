"""The notifications of one session that must wait before they are sent."""

from collections.abc import Callable, Collection, Iterable

from exchange.catch_up.limits import BATCH_BUFFER_MAX, CATCH_UP_BUFFER_MAX

Notification = tuple[str, bytes]  # channel name and text


class Buffer:
    """Notifications in order, up to `size_max` bytes. If they become more, it drops them all and takes no more."""

    def __init__(self, size_max: int) -> None:
        self.is_overrun = False
        self._size_max = size_max
        self._size = 0
        self._notifications: list[Notification] = []

    def add(self, channel_name: str, text: bytes) -> None:
        """Append a notification, unless the buffer is overrun."""
        if not self.is_overrun:
            self._notifications.append((channel_name, text))
            self._size += len(text)
            if self._size > self._size_max:
                self.is_overrun = True
                self._notifications.clear()

    def discard(self, channel_names: Collection[str]) -> None:
        """Drop the notifications of these channels. An overrun buffer stays overrun."""
        self._notifications = [one for one in self._notifications if one[0] not in channel_names]
        self._size = sum(len(text) for _, text in self._notifications)

    def take(self) -> list[Notification]:
        """Return the notifications and empty the buffer."""
        notifications, self._notifications, self._size = self._notifications, [], 0
        return notifications


class Outbox:
    """Sends the notifications of one session, each as soon as nothing has to go before it.

    A notification can have to wait twice:
    1. A live notification waits while its channel catches up: the replayed notifications of that channel go first.
       If the buffer is overrun, the catch-up must replay what was dropped.
    2. Any notification waits while a batch is answered in part, because that batch may have caused it.
       If the buffer is overrun, the connection is closed.
    All notifications of one channel leave in the order of their commands.
    """

    def __init__(self, send: Callable[[bytes], None], close_connection: Callable[[str], None]) -> None:
        self._send = send
        self._close_connection = close_connection
        self._catching_up: dict[str, Buffer] = {}  # by channel name; the channels of one catch-up share a buffer
        self._batch: Buffer | None = None

    def translate(self, translate: Callable[[bytes], list[bytes]]) -> None:
        """Send, for each notification, these texts instead."""
        send = self._send

        def send_translated(text: bytes) -> None:
            for translated in translate(text):
                send(translated)

        self._send = send_translated

    def notify(self, channel_name: str, text: bytes) -> None:
        """Send a live notification, or buffer it while its channel catches up."""
        if not self._catching_up and self._batch is None:
            # The usual case, for every subscriber of every message.
            self._send(text)
        elif buffer := self._catching_up.get(channel_name):
            buffer.add(channel_name, text)
        else:
            self.deliver(channel_name, text)

    def deliver(self, channel_name: str, text: bytes) -> None:
        """Send a notification that no catch-up delays, or hold it while a batch is answered in part."""
        if self._batch is None:
            self._send(text)
        elif not self._batch.is_overrun:
            self._batch.add(channel_name, text)
            if self._batch.is_overrun:
                self._close_connection("too many notifications queued behind an unanswered batch")

    def buffer(self, channel_names: Iterable[str]) -> Buffer:
        """Buffer the live notifications of these channels until `go_live`. Replaces an earlier buffer of theirs."""
        buffer = Buffer(CATCH_UP_BUFFER_MAX)
        self._catching_up |= dict.fromkeys(channel_names, buffer)
        return buffer

    def stop_buffering(self, buffer: Buffer) -> None:
        """Drop the buffered notifications; new ones on the same channels do not wait any more."""
        self._catching_up = {name: one for name, one in self._catching_up.items() if one is not buffer}

    def go_live(self, buffer: Buffer) -> None:
        """Deliver the buffered notifications; new ones on the same channels do not wait any more."""
        self.stop_buffering(buffer)
        for channel_name, text in buffer.take():
            self.deliver(channel_name, text)

    def discard(self, channel_names: Iterable[str]) -> None:
        """Drop the waiting notifications of channels that were unsubscribed."""
        names = set(channel_names)
        for buffer in {self._batch, *(self._catching_up.pop(name, None) for name in names)}:
            if buffer is not None:
                buffer.discard(names)

    @property
    def is_holding(self) -> bool:
        """True while notifications wait for the answer to a batch."""
        return self._batch is not None

    def hold(self) -> None:
        """Let all notifications wait for the answer to a batch."""
        if self._batch is None:
            self._batch = Buffer(BATCH_BUFFER_MAX)

    def release(self) -> None:
        """Send the notifications that waited for the answer to a batch."""
        batch, self._batch = self._batch, None
        for _, text in batch.take() if batch is not None else ():
            self._send(text)
