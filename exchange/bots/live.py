"""Bots against a running exchange, as ordinary clients of its public API."""

import asyncio
import logging

from exchange.bots.bot import Bot, BotRunner
from exchange.bots.requests import BotRequest, CancelAllRequest, SubscribeRequest, method_and_params
from exchange.client import Client, ExchangeError, Subscription
from exchange.client.errors import CONNECTION

STEP_SECONDS = 1.0
# What a bot has to live with: an answer that was lost (its streams tell), money, a book that moved, what was paused,
# halted, limited, expired or is busy.
_BUSINESS = (CONNECTION, 1002, 1003, 1004, 1007, 1008, 1009, 1014, 1021, 1024, 1025, 1026, 1028, 1029, 1030)

_log = logging.getLogger(__name__)


async def run_bot(client: Client, bot: Bot) -> None:
    """Have the bot trade as the user of this client, until the client ends: then ExchangeError is raised."""
    player = BotRunner(bot)
    heard: list[Subscription] = []
    while True:
        now_us = await client.get_time_us()
        for subscription in heard:
            while (message := subscription.poll()) is not None:
                player.view.take(message)
        requests = player.requests(now_us)
        heard += [await client.subscribe(*one.channels) for one in requests if isinstance(one, SubscribeRequest)]
        await asyncio.gather(
            *(_carry_out(client, player, one) for one in requests if not isinstance(one, SubscribeRequest))
        )
        await asyncio.sleep(STEP_SECONDS)


async def _carry_out(client: Client, player: BotRunner, request: BotRequest) -> None:
    method, params = method_and_params(request)
    try:
        player.view.answered(request, await client.request(method, params))
    except ExchangeError as error:
        if error.outcome_unknown and isinstance(
            request, CancelAllRequest
        ):  # with which it begins: nothing of its own is there yet
            return await _carry_out(client, player, request)
        if error.code == CONNECTION and not error.outcome_unknown:
            raise
        (_log.debug if error.code in _BUSINESS else _log.warning)("%s %s: %s", method, params, error)
        player.view.refused(request, error.code)
