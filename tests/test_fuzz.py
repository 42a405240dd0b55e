"""Fuzzing: no frame makes the exchange fail, work long, or hold another state than a replay of its journal."""

import secrets
from collections.abc import Iterator

import pytest

from exchange.gateway.methods import METHODS
from exchange.past.answers import PastAnswers
from tests.frames import golden_requests
from tests.fuzzed_exchange import (
    FRAMES_OF_AN_EXCHANGE,
    Tally,
    fuzz,
    no_unexpected_log,
    past_of_the_market,
    rare_garbage_collection,
)
from tests.fuzzed_gateway import fuzz_connections

SOAKED_FRAMES = 1_000_000
SOAKED_CONNECTIONS = 100_000
# Connections to one gateway.
CONNECTIONS = 100


@pytest.fixture(scope="module")
def past() -> Iterator[PastAnswers]:
    with past_of_the_market() as answers:
        yield answers


def fuzz_many(first_seed: int, exchanges: int, past: PastAnswers, counts_calls: bool = False) -> Tally:
    """Fuzz so many exchanges one after another."""
    tally = Tally()
    with no_unexpected_log():
        for seed in range(first_seed, first_seed + exchanges):
            try:
                fuzz(seed, FRAMES_OF_AN_EXCHANGE, past, tally, counts_calls)
            except BaseException:
                print(f"seed {seed}, {FRAMES_OF_AN_EXCHANGE} frames")  # noqa: T201
                raise
    assert tally.commands > tally.frames // 10, "hardly any frame reached the state machine"
    return tally


def test_every_method_is_mutated() -> None:
    assert set(golden_requests()) == {*METHODS, ""}


@pytest.mark.slow
def test_hostile_frames_cost_work_in_proportion_to_their_length(past: PastAnswers) -> None:
    fuzz_many(0, 2, past, counts_calls=True)


@pytest.mark.long
def test_no_frame_breaks_the_exchange(past: PastAnswers) -> None:
    fuzz_many(1_000, 20, past)


@pytest.mark.soak
def test_no_frame_of_a_million_breaks_the_exchange(past: PastAnswers) -> None:
    with rare_garbage_collection():
        tally = fuzz_many(secrets.randbelow(2**32), SOAKED_FRAMES // FRAMES_OF_AN_EXCHANGE, past)
    print(tally.report())  # noqa: T201


def fuzz_gateways(first_seed: int, gateways: int) -> Tally:
    """Fuzz so many gateways one after another."""
    tally = Tally()
    for seed in range(first_seed, first_seed + gateways):
        try:
            with no_unexpected_log():
                fuzz_connections(seed, CONNECTIONS, tally)
        except BaseException:
            print(f"seed {seed}, {CONNECTIONS} connections")  # noqa: T201
            raise
    assert tally.commands > tally.frames // 10, "hardly any connection reached the state machine"
    return tally


@pytest.mark.slow
def test_hostile_bytes() -> None:
    fuzz_gateways(0, 2)


@pytest.mark.long
def test_no_connection_breaks_the_gateway() -> None:
    fuzz_gateways(1_000, 20)


@pytest.mark.soak
def test_no_connection_of_many_breaks_the_gateway() -> None:
    fuzz_gateways(secrets.randbelow(2**32), SOAKED_CONNECTIONS // CONNECTIONS)
