"""The pace of books and tickers: after each batch, but slower while many commands come and many clients listen.

Their messages are the newest state, so fewer of them say as much. Without a pace, 500 subscribers of one book would
take most of the time of the exchange while it is busy.
"""

import asyncio
from collections.abc import Callable

from exchange.gateway.limits import BUSY_BATCH, FAN_OUT_SHARE, FEW_NOTIFICATIONS, NOTIFICATION_SECONDS


class Pace:
    """Calls `flush`, which sends the changes of books and tickers and returns the number of messages.

    While batches are large, messages take at most FAN_OUT_SHARE of the time: the next ones wait. `send` then writes
    them.
    """

    def __init__(self, flush: Callable[[], int], send: Callable[[], None]) -> None:
        self._flush = flush
        self._send = send
        self._commands = 0
        self._notifications = 0
        # Set while messages must wait.
        self._waiting: asyncio.TimerHandle | None = None
        self._is_due = False

    def on_command(self) -> None:
        """A command of the current batch was published."""
        self._commands += 1

    def on_batch(self) -> None:
        """A batch is complete: send what changed, now or a little later."""
        is_busy, self._commands = self._commands >= BUSY_BATCH, 0
        if is_busy and self._waiting is not None:
            self._is_due = True
            return
        self._go()
        if is_busy and self._notifications > FEW_NOTIFICATIONS:
            seconds = self._notifications * NOTIFICATION_SECONDS / FAN_OUT_SHARE
            self._waiting = asyncio.get_running_loop().call_later(seconds, self._end_wait)

    def stop(self) -> None:
        """Send nothing later."""
        if self._waiting is not None:
            self._waiting.cancel()

    def _go(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._is_due = False
        self._notifications = self._flush()

    def _end_wait(self) -> None:
        self._waiting = None
        if self._is_due:
            self._go()
            self._send()
