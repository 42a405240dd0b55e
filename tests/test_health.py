"""The pages of the metrics server, from an exchange in this process: /metrics, /health and /ready."""

import asyncio
import json
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exchange.engine.alarm import Alarm, raise_alarm
from exchange.gateway.handshake import AllowedPeers, parse_host
from exchange.gateway.socket_connection import SocketConnection
from exchange.journal.errors import JournalFullError
from exchange.journal.records import Record
from exchange.runtime import metrics as metrics_module
from exchange.runtime.figures import METRICS
from tests.wire import INSTRUMENT, Server, exchange, request


def fetch(server: Server, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    """The status and the body of a page."""
    assert server.node._metrics is not None
    url = server.node._metrics.url.removesuffix("/metrics") + path
    asked = urllib.request.Request(url, method=method, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


async def page(server: Server, path: str, **options: Any) -> tuple[int, str]:
    return await asyncio.to_thread(fetch, server, path, **options)


async def health(server: Server, path: str = "/health") -> tuple[int, Any]:
    status, body = await page(server, path)
    return status, json.loads(body)


async def samples(server: Server) -> dict[tuple[str, ...], float]:
    """The samples by name and the values of their labels, the bound of a bucket last."""
    _, body = await page(server, "/metrics")
    families = text_string_to_metric_families(body)
    return {(one.name, *_values(one.labels)): one.value for family in families for one in family.samples}


def _values(labels: dict[str, str]) -> list[str]:
    return [labels[name] for name in sorted(labels, key=lambda name: name == "le")]


@pytest.mark.slow
def test_every_metric_of_the_table_is_served_and_no_other(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db", metrics_port=0) as server:
            alice = await server.client("alice")
            await alice.buy()
            _, body = await page(server, "/metrics")
            families = {family.name: family for family in text_string_to_metric_families(body)}
            ours = {name: one for name, one in families.items() if not name.startswith("process_")}
            assert ours.keys() == {name.removesuffix("_total") for name in METRICS}
            assert {name: (one.type, one.documentation) for name, one in ours.items()} == {
                name.removesuffix("_total"): (about.kind, about.text) for name, about in METRICS.items()
            }
            assert families["process_resident_memory_bytes"].samples[0].value > 1_000_000

    asyncio.run(conversation())


def test_requests_are_counted_by_method_and_refusals_by_reason(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db", metrics_port=0) as server:
            alice = await server.client("alice")
            before = await samples(server)
            await alice.buy()
            await alice.ask("private/buy", instrument_id=INSTRUMENT, price=1, amount=1_000)
            await alice.ask("private/invented")
            found = await samples(server)
            assert found["exchange_request_seconds_count", "private/buy"] == 2
            assert found["exchange_request_seconds_bucket", "private/buy", "+Inf"] == 2
            assert found["exchange_request_seconds_bucket", "private/buy", "0.0001"] <= 2
            assert 0 < found["exchange_request_seconds_sum", "private/buy"] < 60
            assert found["exchange_request_seconds_count", "unknown"] == 1
            assert found["exchange_refusals_total", "price_off_tick"] == 1
            assert found["exchange_refusals_total", "method_not_found"] == 1
            assert found[("exchange_commands_total",)] == before[("exchange_commands_total",)] + 2
            assert found[("exchange_batch_commands_count",)] == found[("exchange_batches_total",)]
            assert found[("exchange_batch_commands_sum",)] == found[("exchange_commands_total",)]
            assert found["exchange_append_seconds_bucket", "+Inf"] == found[("exchange_batches_total",)]
            assert found[("exchange_connected_clients",)] == 1
            assert found[("exchange_wal_bytes",)] == (tmp_path / "exchange.db-wal").stat().st_size
            assert found["exchange_file_bytes", "journal"] > found[("exchange_wal_bytes",)]

    asyncio.run(conversation())


def test_the_time_of_a_request_begins_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db", metrics_port=0) as server:
            alice = await server.client("alice")
            # As if each request had waited for its turn for 5 seconds.
            late_seconds, clock, take_turn = [0], time.perf_counter, SocketConnection.take_turn

            def late(connection: SocketConnection, ends_seconds: float) -> bool:
                late_seconds[0] += 5
                return take_turn(connection, ends_seconds + 5)

            monkeypatch.setattr(time, "perf_counter", lambda: clock() + late_seconds[0])
            monkeypatch.setattr(SocketConnection, "take_turn", late)
            await alice.buy()
            assert (await samples(server))["exchange_request_seconds_sum", "private/buy"] > 5

    asyncio.run(conversation())


def test_a_client_may_use_the_address_that_it_reached_or_an_allowed_name(tmp_path: Path) -> None:
    async def conversation() -> None:
        allowed = AllowedPeers(hosts=(parse_host("exchange"),))
        settings = {"metrics_port": 0, "metrics_host": "0.0.0.0", "allowed_peers": allowed}
        async with exchange(tmp_path / "exchange.db", **settings) as server:
            assert server.node._metrics is not None
            port = server.node._metrics.url.rpartition(":")[2].removesuffix("/metrics")
            for host, status in (("exchange:1234", 200), (f"127.0.0.1:{port}", 200), ("192.0.2.1", 403)):
                assert (await page(server, "/health", host=host))[0] == status

    asyncio.run(conversation())


def test_nothing_is_counted_without_metrics(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            await (await server.client("alice")).buy()
            assert server.node.meter is None
            assert server.node.journal_meter.batch_sizes.total == 0

    asyncio.run(conversation())


def test_commands_and_requests_that_wait_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db", metrics_port=0) as server:
            alice = await server.client("alice")
            is_writing = asyncio.Event()

            async def never(_records: list[Record]) -> None:
                is_writing.set()
                await asyncio.get_running_loop().create_future()

            monkeypatch.setattr(server.journal, "append", never)
            buy = request("private/buy", instrument_id=INSTRUMENT, price=1_500_000, amount=1_000)
            alice.send(buy)
            await is_writing.wait()
            for _ in range(2):
                alice.send(buy)
            while server.node.queue_depth < 2:  # noqa: ASYNC110 - the node has no event for this
                await asyncio.sleep(0)
            found = await samples(server)
            assert found[("exchange_queue_commands",)] == 2
            assert found[("exchange_unanswered_requests",)] == 3
            server.breaks = True
            server.running.cancel()

    asyncio.run(conversation())


def test_a_healthy_exchange_says_how_it_is_and_refuses_other_hosts_paths_and_methods(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db", metrics_port=0) as server:
            status, found = await health(server)
            assert (status, found["healthy"], found["ready"], found["problems"]) == (200, True, True, [])
            assert found["seq"] == server.journal.head.seq
            assert found["history_lag"] == found["seq"] - found["history_seq"] >= 0
            assert found["disk_free_bytes"] > 0
            assert (found["alarm"], found["clock_jump_us"], found["journal_unavailable"]) == (None, 0, False)
            assert (await health(server, "/ready"))[0] == 200
            for path in ("/metrics", "/health", "/ready"):
                status, body = await page(server, path, host="rebound.example")
                assert status == 403
                assert "Host 'rebound.example' is not a name of this exchange" in body
                assert (await page(server, path, method="HEAD")) == (200, "")
                assert (await page(server, path, method="POST"))[0] == 405
            assert await page(server, "/") == (404, "nothing is served here: ask for /metrics, /health, /ready\n")

    asyncio.run(conversation())


def test_an_alarm_makes_the_exchange_unhealthy_and_a_clock_that_jumped_unready(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db", metrics_port=0) as server:
            raise_alarm(server.path, Alarm(1, "as a test"))
            status, found = await health(server)
            assert (status, found["alarm"], found["problems"]) == (503, "as a test", ["an alarm stands: as a test"])
            assert (await health(server, "/ready"))[0] == 200
            assert (await samples(server))[("exchange_follower_alarm",)] == 1
            server.node._clock.jump_us = 90_000_000
            status, found = await health(server, "/ready")
            assert (status, found["clock_jump_us"]) == (503, 90_000_000)
            assert found["problems"][1:] == ["the system clock jumped: it is 90.0 s ahead of the expected time"]
            assert (await samples(server))[("exchange_clock_jump_seconds",)] == 90

    asyncio.run(conversation())


def test_a_journal_that_refuses_batches_makes_the_exchange_unready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db", metrics_port=0) as server:
            alice = await server.client("alice")
            monkeypatch.setattr(server.journal, "append", _full)
            assert (await alice.buy())["error"]["code"] == 1024
            status, found = await health(server, "/ready")
            assert (status, found["journal_unavailable"], found["healthy"]) == (503, True, True)
            assert found["problems"] == [
                "the journal cannot be written: the disk is full, or another program has locked it"
            ]
            assert (await samples(server))[("exchange_journal_unavailable",)] == 1
            monkeypatch.undo()
            assert "result" in await alice.buy()
            assert (await health(server, "/ready"))[0] == 200

    asyncio.run(conversation())


async def _full(_records: list[Record]) -> None:
    raise JournalFullError("the disk is full")


def test_an_exchange_whose_event_loop_hangs_is_neither_healthy_nor_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db", metrics_port=0) as server:
            monkeypatch.setattr(metrics_module, "LOOP_SECONDS", 0.05)
            # This blocks the thread of the event loop until the answer is there.
            answers = [fetch(server, path) for path in ("/health", "/ready", "/metrics")]
            assert [status for status, _ in answers] == [503, 503, 503]
            assert json.loads(answers[0][1])["healthy"] is False
            assert "the exchange does not answer" in answers[2][1]

    asyncio.run(conversation())


def test_the_documentation_has_every_metric_with_its_meaning() -> None:
    text = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text.partition("### All metrics\n")[2].partition("\n\n`process_")[0]
    assert table.splitlines()[3:] == [
        f"| `{name}`{'' if about.label is None else f' by `{about.label}`'} | {about.kind} | {about.text} |"
        for name, about in METRICS.items()
    ]
