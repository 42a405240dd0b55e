"""`exchange serve --metrics-port`: what Prometheus would read, from a real server."""

import re
import sqlite3
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exchange.cli.client import RunningExchange, log_in
from exchange.engine.alarm import Alarm, raise_alarm
from tests.cli_support import CALL, CLOCK_START, Server, complained, exchange

DEMO = ("--demo", "--clock-start", CLOCK_START, "--metrics-port")


def metrics_url(server: Server) -> str:
    match = re.search(r"metrics at (http://127\.0\.0\.1:\d+/metrics)\n", server.errors)
    assert match is not None, server.errors
    return match[1]


def figures(server: Server) -> dict[str, float]:
    """By name, without labels."""
    with urllib.request.urlopen(metrics_url(server)) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def figures_once(server: Server, is_so: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    while not is_so(found := figures(server)):
        pass
    return found


@pytest.mark.slow
def test_metrics_show_the_state_of_the_exchange(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    with Server(path, *DEMO, 0) as server:
        before = figures(server)
        assert (before["exchange_connected_clients"], before["exchange_open_orders"]) == (0, 0)
        with RunningExchange(server.url) as alice, RunningExchange(server.url):
            log_in(alice, "alice")
            for price in (1_000_000, 1_100_000, 1_200_000):
                order = alice.call("private/buy", instrument_id=CALL, price=price, amount=1_000)["order"]
            seq = alice.call("private/cancel", order_id=order["order_id"])["seq"]
            found = figures(server)
            assert (found["exchange_connected_clients"], found["exchange_open_orders"]) == (2, 2)
            assert found["exchange_journal_seq"] == seq == found["exchange_commands_total"] + 1  # the genesis
            assert found["exchange_batches_total"] == before["exchange_batches_total"] + 5
            assert found["exchange_append_seconds_count"] == found["exchange_batches_total"]
            assert 0 < found["exchange_append_seconds_sum"] < 60
        figures_once(server, lambda found: found["exchange_connected_clients"] == 0)
        found = figures_once(server, lambda found: found["exchange_follower_seq"] == seq)
        assert found["exchange_follower_alarm"] == 0
        assert found["exchange_disk_free_bytes"] > 0 and found["exchange_disk_full_seconds"] > 0
        metrics = urllib.request.Request(metrics_url(server), headers={"Host": "rebound.example"})
        with pytest.raises(HTTPError, match="403") as refused, urllib.request.urlopen(metrics):
            pass
        assert b"Host 'rebound.example' is not a name of this exchange" in refused.value.read()
        raise_alarm(path, Alarm(1, "as a test"))
        assert figures(server)["exchange_follower_alarm"] == 1
        assert server.stop()[0] == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT max(seq) FROM commands").fetchone() == (seq + 1,)


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with Server(tmp_path / "one.db", *DEMO, 0) as server:
        port = re.findall(r"metrics at http://127\.0\.0\.1:(\d+)/", server.errors)[0]
        said = complained(exchange("serve", "--port", 0, "--db", tmp_path / "two.db", *DEMO, port))
        assert f"metrics port {port}: Address already in use: choose another with --metrics-port" in said
