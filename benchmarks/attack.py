"""How much hostile clients slow down good ones: one row for each kind of attack.

100 good clients send orders at half the maximum rate. 50 hostile clients, each with its own address, attack the
exchange; in the run before, which is the reference, the same clients attack a sink. The exchange with its processes
has one core, all clients and the sink have the other. Each kind of attack meets a new exchange.

    python -m benchmarks.attack [--only KIND] [--seconds 3]
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from benchmarks.attackers import KINDS
from benchmarks.load import first_open_instrument
from benchmarks.orders import create_journal
from benchmarks.servers import resident_bytes

SERVER_CORE, CLIENT_CORE = 0, 1
GOOD, HOSTILE = 100, 50
SETTLE_SECONDS = 1.0
# The share of good orders per second that the exchange answers at its maximum rate.
RATE_SHARE = 0.5
INSTRUMENTS = 200
# The hostile clients and the sink have a lower priority. Otherwise the good clients wait for them on their core, not
# for the exchange.
HOSTILE_NICE = 10
_TICKS = os.sysconf("SC_CLK_TCK")


class Figures(NamedTuple):
    """One run of the good clients."""

    p50_us: int
    p99_us: int
    answers_per_second: int
    cpu_us_per_order: float
    peak_mib: float
    # CPU of the hostile clients, as a share of their core.
    hostile_share: float


class Attack(NamedTuple):
    """One row of the table."""

    kind: str
    base: Figures
    attacked: Figures
    before_mib: float
    # Between the two runs, and after the attack.
    between_mib: float
    after_mib: float


@contextmanager
def pinned(core: int, *arguments: str, nice: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program on one core, and end it afterwards."""
    process = subprocess.Popen(
        ["nice", "-n", str(nice), "taskset", "-c", str(core), sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=None if "benchmarks.steady" in arguments else subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().removeprefix("listening on ").strip()


def cpu_seconds(pid: int) -> float:
    """The CPU time of one process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int) -> float:
    """The resident memory of one process, without its children."""
    return resident_bytes(pid) / 2**20


class Bench:
    """An exchange and a sink that run, and the load on them."""

    def __init__(self, server: subprocess.Popen[str], url: str, sink_url: str, seconds: float, nice: int) -> None:
        self.pid = server.pid
        self._url, self._sink_url, self._seconds = url, sink_url, seconds
        self._nice = nice
        self._instrument_id = asyncio.run(first_open_instrument(url))
        self.instruments = ",".join(asyncio.run(_instruments(url))[:INSTRUMENTS])

    def maximum(self) -> float:
        """The orders per second that the exchange answers if the good clients wait for their answers only."""
        return float(self._client("benchmarks.load", "--in-flight", "1", "--json")["answers_per_second"])

    def steady(self, rate: float, kind: str, url: str) -> Figures:
        """Run the good clients during an attack on `url`, and watch the exchange."""
        arguments = ["-m", "benchmarks.steady", "--connections", str(GOOD), "--rate", f"{rate:.0f}"]
        arguments += ["--url", self._url, "--seconds", str(self._seconds), "--instrument", self._instrument_id]
        hostile = ["-m", "benchmarks.attackers", kind, "--url", url, "--connections", str(HOSTILE)]
        hostile += ["--instruments", self.instruments]
        peak_mib = 0.0
        with pinned(CLIENT_CORE, *arguments, "--warm-up", str(2 * SETTLE_SECONDS), nice=self._nice) as clients:
            assert clients.stdout is not None
            if clients.stdout.readline() != "ready\n":
                raise click.ClickException("the good clients could not log in")
            with pinned(CLIENT_CORE, *hostile, nice=HOSTILE_NICE) as attackers:
                time.sleep(SETTLE_SECONDS)
                cpu_before, began_seconds = cpu_seconds(self.pid), time.monotonic()
                hostile_before = cpu_seconds(attackers.pid)
                while clients.poll() is None:
                    peak_mib = max(peak_mib, memory_mib(self.pid))
                    time.sleep(0.05)
                took_seconds = time.monotonic() - began_seconds
                share = (cpu_seconds(self.pid) - cpu_before) / took_seconds
                hostile_share = (cpu_seconds(attackers.pid) - hostile_before) / took_seconds
            text = clients.stdout.read()
        if not text:
            raise click.ClickException(f"a good client failed during the attack {kind!r} on {url}")
        report = msgspec.json.decode(text)
        cpu_us = share / max(1, report["answers_per_second"]) * 1e6
        latencies = report["p50_us"], report["p99_us"]
        return Figures(*latencies, report["answers_per_second"], cpu_us, peak_mib, hostile_share)

    def attack(self, kind: str, rate: float) -> Attack:
        """Measure one kind: first against the sink, then against the exchange."""
        before_mib = memory_mib(self.pid)
        base = self.steady(rate, kind, self._sink_url)
        between_mib = memory_mib(self.pid)
        attacked = self.steady(rate, kind, self._url)
        time.sleep(SETTLE_SECONDS)
        return Attack(kind, base, attacked, before_mib, between_mib, memory_mib(self.pid))

    def _client(self, module: str, *more: str) -> dict[str, Any]:
        arguments = ["-m", module, "--url", self._url, "--connections", str(GOOD), "--seconds", str(self._seconds)]
        with pinned(CLIENT_CORE, *arguments, *more, nice=self._nice) as clients:
            assert clients.stdout is not None
            output = clients.stdout.read()
        found: dict[str, Any] = msgspec.json.decode(output)
        return found


async def _instruments(url: str) -> list[str]:
    from websockets.asyncio.client import connect

    async with connect(url, compression=None, max_size=None) as client:
        await client.send('{"jsonrpc":"2.0","id":1,"method":"public/get_instruments"}')
        return [one["instrument_id"] for one in msgspec.json.decode(await client.recv())["result"]]


def row(one: Attack) -> str:
    """One line of the table in Markdown."""
    base, attacked = one.base, one.attacked
    return (
        f"| {one.kind} | {base.p99_us / 1000:.1f} ms | {attacked.p99_us / 1000:.1f} ms "
        f"| {attacked.p99_us / max(1, base.p99_us):.1f} | {base.p50_us / 1000:.1f} / {attacked.p50_us / 1000:.1f} ms "
        f"| {attacked.answers_per_second / max(1, base.answers_per_second):.2f} "
        f"| {base.cpu_us_per_order:.0f} / {attacked.cpu_us_per_order:.0f} µs "
        f"| {base.hostile_share:.2f} / {attacked.hostile_share:.2f} "
        f"| {one.before_mib:.0f} / {one.between_mib:.0f} / {attacked.peak_mib:.0f} / {one.after_mib:.0f} MiB |"
    )


HEAD = (
    "| attack | p99, sink | p99, attacked | ratio | median, sink / attacked | orders answered, attacked : sink "
    "| server's CPU per good order | CPU of the hostile clients, sink / attacked "
    "| memory before / after the sink / highest / after |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(KINDS)), help="Measure this kind only; repeatable.")
@click.option("--seconds", type=click.FloatRange(0.5, 60), default=3.0, show_default=True, help="Duration of one run.")
@click.option("--rate", type=click.FloatRange(1), help="Good orders per second.  [default: half of the maximum]")
@click.option("--limits", type=click.Path(exists=True, dir_okay=False), help="Limits for the exchange.")
@click.option("--nice", type=click.IntRange(-20, 9), default=0, show_default=True, help="Of all but hostile clients.")
def main(only: tuple[str, ...], seconds: float, rate: float | None, limits: str | None, nice: int) -> None:
    """Measure the effect of each kind of attack; print a table in Markdown."""
    if rate is None:
        with new_bench(seconds, limits, nice) as bench:
            rate = bench.maximum() * RATE_SHARE
    click.echo(f"{GOOD} good clients, {rate:,.0f} orders/s together; {HOSTILE} hostile clients\n\n{HEAD}")
    for kind in only or KINDS:
        with new_bench(seconds, limits, nice) as bench:
            click.echo(row(bench.attack(kind, rate)))


@contextmanager
def new_bench(seconds: float, limits: str | None, nice: int) -> Iterator[Bench]:
    """Start a new exchange and a new sink, each on its core."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "attack.db"
        asyncio.run(create_journal(db))
        serve = ["-m", "exchange.cli.main", "serve", "--db", str(db), "--port", "0", "--demo"]
        with (
            pinned(SERVER_CORE, *serve, *(("--limits", limits) if limits else ()), nice=nice) as server,
            pinned(CLIENT_CORE, "-m", "benchmarks.sink", nice=HOSTILE_NICE) as sink,
        ):
            yield Bench(server, url_of(server), url_of(sink), seconds, nice)


if __name__ == "__main__":
    main()
