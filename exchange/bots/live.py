"""Runs a bot against a running exchange, as an ordinary client of its public API."""

import asyncio
import logging

from exchange.bots.bot import Bot, BotRunner
from exchange.bots.requests import BotRequest, CancelAllRequest, SubscribeRequest, method_and_params
from exchange.client import Client, ExchangeError, Subscription
from exchange.client.errors import CONNECTION

STEP_SECONDS = 1.0
# Errors that belong to normal trading, so they are logged at debug level: lost answers (the streams show the outcome),
# too little cash, a book or a band that moved, and instruments or exchanges that are paused, halted, limited, expired
# or busy.
_OF_ORDERS = (1002, 1003, 1004, 1005, 1007, 1008, 1009, 1014, 1021)
_OF_THE_EXCHANGE = (1024, 1025, 1026, 1028, 1029, 1030)
_EXPECTED_CODES = (CONNECTION, *_OF_ORDERS, *_OF_THE_EXCHANGE)

_log = logging.getLogger(__name__)


async def run_bot(client: Client, bot: Bot) -> None:
    """Let the bot trade as the user of this client until the client ends. Raises ExchangeError then."""
    runner = BotRunner(bot)
    subscriptions: list[Subscription] = []
    while True:
        now_us = await client.get_time_us()
        for subscription in subscriptions:
            while (message := subscription.poll()) is not None:
                runner.view.on_message(message)
        requests = runner.requests(now_us)
        subscriptions += [
            await client.subscribe(*one.channels) for one in requests if isinstance(one, SubscribeRequest)
        ]
        await asyncio.gather(*(_send(client, runner, one) for one in requests if not isinstance(one, SubscribeRequest)))
        await asyncio.sleep(STEP_SECONDS)


async def _send(client: Client, runner: BotRunner, request: BotRequest) -> None:
    method, params = method_and_params(request)
    try:
        runner.view.on_result(request, await client.request(method, params))
    except ExchangeError as error:
        # The bot cancels all orders only at its start. It has placed nothing yet, so a repeat does no harm.
        if error.outcome_unknown and isinstance(request, CancelAllRequest):
            return await _send(client, runner, request)
        if error.code == CONNECTION and not error.outcome_unknown:
            raise
        (_log.debug if error.code in _EXPECTED_CODES else _log.warning)("%s %s: %s", method, params, error)
        runner.view.on_error(request, error.code)
