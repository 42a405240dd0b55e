"""The CPU time of the main thread for one durable order, by stages, from a profile of the running server.

`py-spy` looks at the stacks of the server from outside, many times a second, so that the server runs the code that it
always runs. A tracer within the server would make short functions look expensive. The load runs twice in each round:
without the profiler, for the CPU time of one order, and with it, for the shares of the stages.
"""

import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import cpu
from benchmarks.meter import Report
from benchmarks.orders import cpu_medians, create_journal, load
from benchmarks.scale import Scale
from benchmarks.servers import Server, exchange_arguments, running
from benchmarks.stages import STAGES, samples_by_stage
from benchmarks.table import Row, median, skipped
from exchange.compiled import WHY_PURE

RATE_PER_SECOND = 400
NAME = "where"


def run(scale: Scale) -> list[Row]:
    """One row for each stage: its CPU time for one order, and the time of the whole main thread."""
    profiler = _profiler()
    if profiler is None:
        return [skipped(NAME, "py-spy is not installed: pip install py-spy")]
    counts: Counter[str] = Counter()
    reports: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bench.db"
        asyncio.run(create_journal(db))
        with running(*exchange_arguments(db)) as exchange:
            for _ in range(scale.rounds):
                reports.append(load(exchange, scale))
                counts += _profile(profiler, exchange, scale, Path(folder) / "profile")
    if not counts:
        return [skipped(NAME, "py-spy may not look into other processes here")]
    used = cpu_medians(reports)
    rate = median([report.answers_per_second for report in reports])
    whole_us, samples = used["main thread"], sum(counts.values())
    note = f"{rate:,.0f} orders/s; CPU µs/order: {cpu.text_of(used)}; {samples:,} samples"
    rows = [Row(f"{NAME}: main thread", whole_us, "µs/order", note=note)]
    for stage in STAGES:
        share = counts[stage] / samples
        rows.append(Row(f"{NAME}: {stage}", whole_us * share, "µs/order", whole_us, "main thread"))
    return rows


def _profiler() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def _profile(profiler: str, exchange: Server, scale: Scale, output: Path) -> Counter[str]:
    """Count the samples of each stage during a load."""
    output.unlink(missing_ok=True)
    options = ["--format", "raw", "--rate", str(RATE_PER_SECOND), "--duration", "3600", "--output", str(output)]
    if WHY_PURE is None:
        # Compiled functions are frames of C.
        options.append("--native")
    process = subprocess.Popen(
        [profiler, "record", "--pid", str(exchange.pid), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        load(exchange, scale)
    finally:
        # It writes the profile when it is interrupted.
        process.send_signal(signal.SIGINT)
        process.wait()
    return samples_by_stage(output.read_text(encoding="utf-8").splitlines()) if output.exists() else Counter()
