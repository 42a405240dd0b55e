"""Measurement of a load run, and its report."""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from collections import Counter
from dataclasses import dataclass

from benchmarks import cpu


@dataclass(frozen=True)
class Report:
    """The results of one run. Latencies are those of the client. `errors` counts answers by JSON-RPC error code.

    `generator_cpu` is the CPU use of the load generator. At 1.0, a whole core, the generator was the bottleneck.
    `server_cpu_us` is the server's CPU time for one answer, by its parts; empty if it was not measured.
    """

    mode: str
    connections: int
    in_flight: int
    seconds: float
    answers: int
    answers_per_second: int
    errors: dict[str, int]
    p50_us: int
    p99_us: int
    generator_cpu: float
    server_cpu_us: dict[str, float]

    @property
    def server_us(self) -> float:
        """The server's CPU time for one answer, with all its threads and processes."""
        return sum(self.server_cpu_us.values())


class Meter:
    """Counts answers while it is running, and ignores those before and after.

    With the process id of the server it also measures the CPU time of that.
    """

    def __init__(self, server_pid: int | None = None) -> None:
        self.running = False
        self._server_pid = server_pid
        self._server_ns: dict[str, int] = {}
        self.latencies_seconds = array("d")
        self.errors: Counter[str] = Counter()
        self._elapsed_seconds = 0.0
        self._cpu_seconds = 0.0

    async def run(self, seconds: float) -> None:
        """Measure for `seconds`, and forget what was measured before."""
        self.latencies_seconds, self.errors = array("d"), Counter()
        pid = self._server_pid
        server_before = {} if pid is None else cpu.sample(pid)
        started, cpu_started = time.perf_counter(), time.process_time()
        self.running = True
        await asyncio.sleep(seconds)
        self.running = False
        self._elapsed_seconds = time.perf_counter() - started
        self._cpu_seconds = time.process_time() - cpu_started
        if pid is not None:
            self._server_ns = cpu.by_part(pid, server_before, cpu.sample(pid))

    def count_error(self, data: bytes, start: int, end: int) -> None:
        """Note the code of an error answer."""
        error = json.loads(data[start:end])["error"]
        self.errors[str(error["code"])] += 1

    def report(self, mode: str, connections: int, in_flight: int) -> Report:
        """Return the report of the measured time."""
        ordered = sorted(self.latencies_seconds)
        return Report(
            mode=mode,
            connections=connections,
            in_flight=in_flight,
            seconds=round(self._elapsed_seconds, 3),
            answers=len(ordered),
            answers_per_second=round(len(ordered) / self._elapsed_seconds),
            errors=dict(self.errors),
            p50_us=_percentile_us(ordered, 0.50),
            p99_us=_percentile_us(ordered, 0.99),
            generator_cpu=round(self._cpu_seconds / self._elapsed_seconds, 2),
            server_cpu_us={part: round(ns / 1000 / max(1, len(ordered)), 2) for part, ns in self._server_ns.items()},
        )


def _percentile_us(ordered_seconds: list[float], share: float) -> int:
    if not ordered_seconds:
        return 0
    return round(ordered_seconds[int(share * (len(ordered_seconds) - 1))] * 1e6)
