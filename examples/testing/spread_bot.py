"""A small market maker for one option: it keeps a bid and an ask at an equal distance from the mark price."""

import asyncio

from exchange.client import Client, PlaceResult

PATIENCE_SECONDS = 0.5


class SpreadBot:
    """Call `act` again and again. Prices are in micros of USDC, sizes in millicontracts."""

    def __init__(self, client: Client, instrument_id: str, edge: int, size: int, position_max: int) -> None:
        self.client = client
        self.instrument_id = instrument_id
        self.edge, self.size, self.position_max = edge, size, position_max
        self._orders = 0

    async def act(self) -> None:
        """Cancel the quotes, and place new ones around the mark."""
        ticker = await self.client.get_ticker(self.instrument_id)
        if ticker.mark_micros is None or ticker.state != "open":
            return
        await self.client.cancel_all(self.instrument_id)
        position = await self.position()
        if position + self.size <= self.position_max:
            await self._place("buy", ticker.mark_micros - self.edge)
        if position - self.size >= -self.position_max:
            await self._place("sell", ticker.mark_micros + self.edge)

    async def position(self) -> int:
        """The contracts that the bot owns; negative if it is short."""
        held = (await self.client.get_positions()).positions
        return next((one.quantity_milli for one in held if one.instrument_id == self.instrument_id), 0)

    async def _place(self, side: str, price: int) -> PlaceResult:
        """Place an order. If the answer is late, the same client_order_id makes sure that it is placed once."""
        self._orders += 1
        send = self.client.buy if side == "buy" else self.client.sell
        while True:
            order = send(
                self.instrument_id,
                self.size,
                price // 10_000 * 10_000,
                post_only=True,
                client_order_id=f"quote-{self._orders}",
            )
            try:
                return await asyncio.wait_for(order, PATIENCE_SECONDS)
            except TimeoutError:
                continue
