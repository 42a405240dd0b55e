"""What every bot has in common: it is asked what it wants, again and again."""

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
    """Decides, on what it knows and a seeded chance of its own. It does no I/O and hears of no clock but `now_us`."""

    def decide(self, view: View) -> list[BotRequest]: ...


class BotRunner:
    """A bot with its view: it asks what is listed, then where it stands, then whatever it decides on."""

    def __init__(self, bot: Bot) -> None:
        self.view = View()
        self._bot = bot
        self._has_begun = False

    def requests(self, now_us: int) -> list[BotRequest]:
        """What to send at exchange time `now_us`."""
        self.view.now_us = now_us
        if not self.view.instruments:
            return [InstrumentsRequest()]
        if not self._has_begun:
            self._has_begun = True
            assets = self.view.assets()
            channels = (*(f"index.{asset}" for asset in assets), "user.orders", "user.positions", "user.balance")
            return [SubscribeRequest(channels), CancelAllRequest(), AccountRequest(), *map(IndexRequest, assets)]
        return self._bot.decide(self.view)
