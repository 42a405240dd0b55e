"""The pace of books and tickers: after each batch, but slower while many commands come and many clients listen.

Their messages are the newest state, so fewer of them say as much. Without a pace, 500 subscribers of one book would
take most of the time of the exchange while it is busy.
"""

import asyncio
import time
from collections.abc import Callable

from exchange.gateway.limits import BUSY_COMMANDS, FAN_OUT_SHARE, FEW_NOTIFICATIONS


class Pace:
    """Calls `flush`, which queues the changes of books and tickers and returns their number, and `send`, which writes.

    While many commands come, these messages take at most FAN_OUT_SHARE of the thread's CPU time: the next ones wait.
    """

    def __init__(
        self, flush: Callable[[], int], send: Callable[[], None], cpu_seconds: Callable[[], float] = time.thread_time
    ) -> None:
        self._flush = flush
        self._send = send
        self._cpu_seconds = cpu_seconds
        # In the batch, and in the one before.
        self._commands = self._commands_before = 0
        # While messages must wait: the CPU time until which they do, and a timer that looks if batches still come.
        self._until_seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_due = False
        self._have_batches_come = False

    def on_command(self) -> None:
        """A command of the current batch was published."""
        self._commands += 1

    def on_batch(self) -> None:
        """A batch is complete: write its messages, and queue what changed before, or later."""
        is_busy = self._commands + self._commands_before >= BUSY_COMMANDS
        self._commands, self._commands_before = 0, self._commands
        if is_busy and self._timer is not None and self._cpu_seconds() < self._until_seconds:
            self._is_due = self._have_batches_come = True
            self._send()
        else:
            self._go(is_busy)

    def stop(self) -> None:
        """Send nothing later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self, is_busy: bool) -> None:
        self.stop()
        self._is_due = False
        # Reading this clock is a system call.
        began_seconds = self._cpu_seconds() if is_busy else 0.0
        notifications = self._flush()
        self._send()
        if is_busy and notifications > FEW_NOTIFICATIONS:
            now_seconds = self._cpu_seconds()
            self._until_seconds = now_seconds + (now_seconds - began_seconds) * (1 - FAN_OUT_SHARE) / FAN_OUT_SHARE
            self._look_later(now_seconds)

    def _look_later(self, now_seconds: float) -> None:
        self._have_batches_come = False
        self._timer = asyncio.get_running_loop().call_later(self._until_seconds - now_seconds, self._look)

    def _look(self) -> None:
        """Send what waits. If other programs took the CPU and batches still come, it waits longer."""
        self._timer = None
        now_seconds = self._cpu_seconds()
        if self._have_batches_come and now_seconds < self._until_seconds:
            self._look_later(now_seconds)
        elif self._is_due:
            self._go(is_busy=True)
