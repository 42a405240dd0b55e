"""Books and tickers come after each batch. While many commands come and many clients listen, they come less often."""

import asyncio

from exchange.gateway.limits import BUSY_COMMANDS, FAN_OUT_SHARE, FEW_NOTIFICATIONS
from exchange.gateway.pace import Pace


class _Listeners:
    """Counts the flushes to so many clients. A flush takes 1 ms of CPU time, and so does a batch."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.flushes = 0
        self.cpu_ms = 0.0
        self.writes = 0
        self.sent = asyncio.get_running_loop().create_future()
        self.pace = Pace(self.flush, self.send, lambda: self.cpu_ms / 1_024)

    def flush(self) -> int:
        self.flushes += 1
        self.cpu_ms += 1
        return self.count

    def send(self) -> None:
        self.writes += 1
        if self.writes == 3 and not self.sent.done():
            self.sent.set_result(None)

    def batch(self, commands: int) -> int:
        """Publish a batch of commands. Returns the number of flushes so far."""
        self.cpu_ms += 1
        for _ in range(commands):
            self.pace.on_command()
        self.pace.on_batch()
        return self.flushes


def _flushes(clients: int, batches: list[int]) -> list[int]:
    async def go() -> list[int]:
        listeners = _Listeners(clients)
        flushes = [listeners.batch(commands) for commands in batches]
        listeners.pace.stop()
        assert listeners.writes == len(batches), "the answers of a batch were not written"
        return flushes

    return asyncio.run(go())


def test_messages_to_many_take_a_tenth_of_the_time() -> None:
    assert FAN_OUT_SHARE == 0.1
    assert _flushes(FEW_NOTIFICATIONS + 1, [BUSY_COMMANDS] * 30) == [1] * 9 + [2] * 9 + [3] * 9 + [4] * 3


def test_few_commands_send_at_once() -> None:
    many = FEW_NOTIFICATIONS + 1
    assert _flushes(many, [BUSY_COMMANDS // 2 - 1] * 3) == [1, 2, 3]
    # One batch is being written while the one before is answered, so both count.
    assert _flushes(many, [BUSY_COMMANDS, 1, 1, BUSY_COMMANDS, 1, 1]) == [1, 1, 2, 3, 3, 4]


def test_large_batches_send_to_few_at_once() -> None:
    assert _flushes(FEW_NOTIFICATIONS, [BUSY_COMMANDS] * 3) == [1, 2, 3]


def test_the_last_change_is_sent_although_no_other_command_comes() -> None:
    async def go() -> None:
        listeners = _Listeners(FEW_NOTIFICATIONS + 1)
        assert [listeners.batch(BUSY_COMMANDS), listeners.batch(BUSY_COMMANDS)] == [1, 1]
        # The third write is that of the timer.
        await listeners.sent
        assert listeners.flushes == 2

    asyncio.run(go())
