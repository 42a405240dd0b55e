"""Books and tickers come after each batch. While many commands come and many clients listen, they come less often."""

import asyncio

from exchange.gateway.limits import BUSY_BATCH, FEW_NOTIFICATIONS
from exchange.gateway.pace import Pace


class _Listeners:
    """Counts the flushes to so many clients."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.flushes = 0
        self.sent = asyncio.get_running_loop().create_future()
        self.pace = Pace(self.flush, lambda: self.sent.set_result(None))

    def flush(self) -> int:
        self.flushes += 1
        return self.count

    def batch(self, commands: int) -> int:
        """Publish a batch of commands. Returns the number of flushes so far."""
        for _ in range(commands):
            self.pace.on_command()
        self.pace.on_batch()
        return self.flushes


def test_large_batches_send_less_often_to_many() -> None:
    async def go() -> None:
        many = _Listeners(FEW_NOTIFICATIONS + 1)
        assert [many.batch(BUSY_BATCH) for _ in range(4)] == [1, 1, 1, 1]
        # What changed last is sent although no other command comes.
        await many.sent
        assert many.flushes == 2

    asyncio.run(go())


def test_small_batches_send_at_once() -> None:
    async def go() -> None:
        many = _Listeners(FEW_NOTIFICATIONS + 1)
        assert [many.batch(BUSY_BATCH - 1) for _ in range(3)] == [1, 2, 3]
        assert [many.batch(BUSY_BATCH), many.batch(BUSY_BATCH), many.batch(1)] == [4, 4, 5]
        # The small batch has sent all, so nothing is sent later.
        many.pace.stop()
        assert not many.sent.done()

    asyncio.run(go())


def test_large_batches_send_to_few_at_once() -> None:
    async def go() -> None:
        few = _Listeners(FEW_NOTIFICATIONS)
        assert [few.batch(BUSY_BATCH) for _ in range(3)] == [1, 2, 3]

    asyncio.run(go())
