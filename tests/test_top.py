"""The figures of `exchange top`: rates and latencies between two readings. test_cli_market.py runs the command."""

from typing import Any

import pytest

from exchange.cli.top import line, tables
from exchange.cli.top_figures import Reading, TopFigures, figures_between
from exchange.gateway.meter import Distribution
from exchange.runtime.figures import METRICS
from exchange.runtime.samples import flat_samples


def distribution(*values: float) -> Distribution:
    made = Distribution((0.001, 0.01, 0.1))
    for value in values:
        made.add(value)
    return made


def reading(seconds: float, **figures: Any) -> Reading:
    """A reading in which everything is 0 but the given figures, whose names are without `exchange_`."""
    empty: dict[str, Any] = {
        name: distribution() if about.kind == "histogram" and about.label is None else 0 if about.label is None else {}
        for name, about in METRICS.items()
    }
    given = {f"exchange_{name}": value for name, value in figures.items()}
    assert given.keys() <= empty.keys()
    metrics = flat_samples(empty | given) | {"process_cpu_seconds_total": seconds / 4}
    return Reading(seconds, 1_771_545_600_000_000, {**metrics})


def busy_reading(number: int) -> Any:
    """The answer to `admin/get_metrics` after `number` times a second of the same load."""
    methods = {"private/buy": 900, "private/sell": 90, "public/get_order_book": 9}
    found = reading(
        number,
        ready=1,
        journal_seq=12_345_000 + 990 * number,
        request_seconds={name: distribution(*[0.004] * (times * number)) for name, times in methods.items()},
        refusals_total={"insufficient_balance": 12 * number, "rate_limit_exceeded": number},
        batch_commands=distribution(*[9.9] * (100 * number)),
        append_seconds=distribution(*[0.002] * (100 * number)),
        connected_clients=21,
        outbox_bytes=15_300,
        queue_commands=7,
        unanswered_requests=11,
        history_lag_commands=450,
        snapshot_age_seconds=100.0,
        disk_free_bytes=57_600_000_000,
        disk_full_seconds=950_400.0,
        wal_bytes=8_400_000,
    )
    return {"ts_us": found.ts_us, "metrics": found.metrics | {"process_resident_memory_bytes": 81_000_000.0}}


def between(**after: Any) -> TopFigures:
    before = reading(
        10,
        journal_seq=100,
        refusals_total={"price_off_tick": 5},
        request_seconds={"private/buy": distribution(0.05, 0.05)},
    )
    return figures_between(before, reading(12, **after))


def test_rates_and_latencies_are_those_of_the_interval() -> None:
    figures = between(
        ready=1,
        journal_seq=120,
        refusals_total={"price_off_tick": 9, "rate_limit_exceeded": 10},
        request_seconds={
            "private/buy": distribution(0.05, 0.05, *[0.0005] * 98, 0.05, 0.05),
            "private/sell": distribution(0.5),
        },
        batch_commands=distribution(4, 16),
        append_seconds=distribution(0.005, 0.005),
    )
    assert (figures.ready, figures.seq, figures.interval_seconds, figures.cpu) == (True, 120, 2, 0.25)
    assert (figures.commands_per_second, figures.requests_per_second, figures.batch_commands) == (10, 50.5, 10)
    assert figures.refusals == {"rate_limit_exceeded": 5, "price_off_tick": 2} and figures.refusals_per_second == 7
    buy, sell = figures.methods
    # Half of the 98 requests of the first bucket, and 99 of 100: the middle of the two between 0.01 and 0.1 s.
    assert (buy.method, buy.per_second, buy.p50_ms, buy.p99_ms) == ("private/buy", 50, 0.51, 55)
    # Above the last bound, that bound.
    assert (sell.method, sell.per_second, sell.p50_ms, sell.p99_ms) == ("private/sell", 0.5, 100, 100)
    assert (figures.commit_p50_ms, figures.commit_p99_ms) == (5.5, 9.91)


def test_an_idle_exchange_has_no_latencies() -> None:
    figures = between(journal_seq=100, request_seconds={"private/buy": distribution(0.05, 0.05)})
    assert (figures.p50_ms, figures.p99_ms, figures.commit_p99_ms, figures.batch_commands) == (None,) * 4
    assert (figures.methods, figures.refusals, figures.commands_per_second) == ([], {}, 0)


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({"ready": 1}, "ready  commands 0/s"),
        ({"follower_alarm": 1, "ready": 1}, "ready  commands 0/s"),
        ({"journal_unavailable": 1}, "not ready (the journal cannot be written)  commands 0/s"),
        ({"clock_jump_seconds": -90.0}, "not ready (the clock jumped by -90 s)  commands 0/s"),
        ({"disk_free_bytes": 57_600_000_000, "ready": 1}, "disk 57.6 GB"),
    ],
)
def test_a_line_says_what_is_wrong(figures: dict[str, Any], text: str) -> None:
    assert text in line(between(journal_seq=100, **figures))


def test_the_tables_fit_80_columns_and_show_the_busiest_methods() -> None:
    reasons = {f"a_rather_long_reason_{n}": 1_000 + n for n in range(8)}
    methods = {f"private/method_{n}": distribution(*[0.05] * n) for n in range(1, 9)}
    figures = between(journal_seq=10**9, follower_alarm=1, refusals_total=reasons, request_seconds=methods)
    overview, busiest = tables(figures)
    lines = [*overview.lines(80), *busiest.lines(80)]
    assert all(len(text) <= 80 for text in lines), lines
    assert any("ALARM: see `exchange journal info`" in text for text in lines)
    assert [row[0].text for row in busiest.rows] == [f"private/method_{n}" for n in (8, 7, 6, 5, 4)]
    assert lines[-1] == "and 3 more"
