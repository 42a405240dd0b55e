"""The interface of a bot, and the runner that prepares its view."""

from typing import Protocol

from exchange.bots.requests import (
    AccountRequest,
    BotRequest,
    CancelAllRequest,
    IndexRequest,
    InstrumentsRequest,
    SubscribeRequest,
)
from exchange.bots.view import View


class Bot(Protocol):
    """A trading strategy: it decides on its view and its own seeded random numbers.

    It does no I/O and reads no clock except `view.now_us`, so the same seed and views give the same requests.
    """

    def decide(self, view: View) -> list[BotRequest]:
        """Return the requests to send now. The runner calls it once for every step."""
        ...


class BotRunner:
    """A bot and its view. It requests the instruments, then the bot's account, and then asks the bot."""

    def __init__(self, bot: Bot) -> None:
        self.view = View()
        self._bot = bot
        self._has_started = False

    def requests(self, now_us: int) -> list[BotRequest]:
        """Return the requests to send at exchange time `now_us`."""
        self.view.now_us = now_us
        if not self.view.instruments:
            return [InstrumentsRequest()]
        if not self._has_started:
            self._has_started = True
            assets = self.view.assets()
            channels = (*(f"index.{asset}" for asset in assets), "user.orders", "user.positions", "user.balance")
            return [SubscribeRequest(channels), CancelAllRequest(), AccountRequest(), *map(IndexRequest, assets)]
        return self._bot.decide(self.view)
