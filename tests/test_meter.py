"""What a meter counts of requests, and that nothing is counted without one."""

import asyncio

from exchange.gateway.meter import NO_METHOD, Distribution, RequestMeter
from tests.fake_exchange import FakeExchange
from tests.wire import INSTRUMENT, request


def test_a_distribution_counts_each_value_at_the_first_bound_that_is_not_below_it() -> None:
    distribution = Distribution((1, 2, 5))
    for value in (0, 1, 1.5, 5, 6):
        distribution.add(value)
    copy = distribution.copy()
    distribution.add(2)
    assert (distribution.counts, distribution.total) == ([2, 2, 1, 1], 15.5)
    assert (copy.counts, copy.total) == ([2, 1, 1, 1], 13.5)


def test_requests_are_counted_by_method_and_refusals_by_reason() -> None:
    async def conversation() -> None:
        fake = FakeExchange()
        await fake.start(INSTRUMENT)
        alice = fake.connect()
        alice.send(request("public/auth", grant_type="client_credentials", client_id="alice"))
        await fake.settle()
        meter = fake.meter = RequestMeter()
        order = {"instrument_id": INSTRUMENT, "amount": 1_000}
        buy = request("private/buy", price=1_500_000, **order)
        alice.send(f"[{buy},{buy}]")
        alice.send(request("private/buy", price=1, **order))
        alice.send(request("private/sell", nothing=1))
        for text in (request("private/invented"), "{", "[]"):
            alice.send(text)
        await fake.settle()
        assert meter.latencies == {}
        meter.handed_over()
        counted = {method: sum(latencies.counts) for method, latencies in meter.latencies.items()}
        assert counted == {"private/buy": 3, "private/sell": 1, NO_METHOD: 3}
        assert meter.refusals == {
            "price_off_tick": 1,
            "unknown_param": 1,
            "method_not_found": 1,
            "parse_error": 1,
            "empty_batch": 1,
        }
        meter.handed_over()
        fake.meter = None
        alice.send(buy)
        await fake.settle()
        assert sum(meter.latencies["private/buy"].counts) == 3
        await fake.stop()

    asyncio.run(conversation())
