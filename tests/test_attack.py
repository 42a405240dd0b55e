"""Hostile clients of each kind, all at once: good clients are answered, and the memory that they take is given back.

`benchmarks.attack` measures how much later the good clients are answered.
"""

import asyncio
import contextlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.attackers import KINDS, attacking
from benchmarks.orders import plain_market
from exchange.gateway.limits import GatewayLimits
from exchange.runtime.demo import DEMO_RULES
from tests.wire import Server, exchange

RULES = replace(DEMO_RULES, market=plain_market())
GOOD_ORDERS = 5
# Of each kind.
HOSTILE = 1
# So that a test of a second meets the limits.
LIMITS = replace(
    GatewayLimits(),
    credits_per_second_per_user=2_000,
    credits_per_second_per_address=3_000,
    accounts_per_hour_per_address=3,
    connections_per_address_max=10,
    outboxes_bytes_max=4 * 1024 * 1024,
)


async def is_work_left(server: Server) -> bool:
    """True if connections are left after a turn of the event loop, or commands of closed ones that wait for a turn."""
    await asyncio.sleep(0)
    gateway = server.node.gateway
    return bool(gateway.connected or gateway.turns._ready or gateway.turns._parked)


@pytest.mark.slow
def test_good_clients_are_answered_during_all_attacks_at_once(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db", limits=LIMITS, rules=RULES, demo=True) as server:
            good = await server.client("alice")
            instrument_ids = [one.instrument_id for one in server.engine.views.live_instruments()][:50]
            name = instrument_ids[0]
            async with contextlib.AsyncExitStack() as attacks:
                for kind in KINDS:
                    await attacks.enter_async_context(attacking(kind, server.url, HOSTILE, instrument_ids))
                for n in range(GOOD_ORDERS):
                    answer = await good.ask("private/buy", n, instrument_id=name, price=1_500_000, amount=1_000)
                    assert "result" in answer, answer
                    assert server.node.gateway.backlog_of_all < 2 * LIMITS.outboxes_bytes_max
            await good.hang_up()
            # If anything stays, this never ends.
            while await is_work_left(server):
                pass
            assert server.node.gateway._outboxes_bytes == 0

    asyncio.run(conversation())
