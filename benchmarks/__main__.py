"""Measure, and print a table of figures, each with its reference and its goal."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks import (
    append,
    cpu,
    deribit,
    document,
    engine,
    fan_out,
    follower,
    growth,
    history,
    latency,
    marks,
    mass_quotes,
    memory,
    metrics,
    orders,
    recover,
    replay,
    screen,
    snapshots,
    stall,
    startup,
    where,
)
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.table import Row, as_json, show

BENCHMARKS: dict[str, Callable[[Scale], list[Row]]] = {
    "orders": orders.run,
    "latency": latency.run,
    "deribit": deribit.run,
    "marks": marks.run,
    "where": where.run,
    "engine": engine.run,
    "deep-book": engine.run_deep,
    "mass-quotes": mass_quotes.run,
    "replay": replay.run,
    "append": append.run,
    "fan-out": fan_out.run,
    "growth": growth.run,
    "memory": memory.run,
    "metrics": metrics.run,
    "follower": follower.run,
    "snapshots": snapshots.run,
    "recover": recover.run,
    "stall": stall.run,
    "history": history.run,
    "startup": startup.run,
    "screen": screen.run,
}
# It takes very long to build the journals of these. `benchmarks.history --markdown` writes their table.
ONLY_IF_NAMED = ("history",)
# Not part of a quick run of all.
NOT_QUICK = ("metrics", "follower", "snapshots", "startup", "screen")


@click.command(epilog=f"Benchmarks: {', '.join(BENCHMARKS)}")
@click.argument("names", nargs=-1, metavar="[NAME]...", type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Measure shortly and with small sizes. The figures are rough.")
@click.option("--minutes", type=click.FloatRange(0.001), help="Duration of the long load.  [default: 10, quick 0.5]")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout, whose matcher is measured too.",
)
@click.option("--json", "wants_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", is_flag=True, help="Write the figures into docs/performance.md, too.")
def main(
    names: tuple[str, ...],
    quick: bool,
    minutes: float | None,
    against: Path | None,
    wants_json: bool,
    markdown: bool,
) -> None:
    """Run the benchmarks with these names.

    Without a name: all but `history`, and with --quick those of orders. Most run servers and their clients as processes
    on this machine, so no other program should be busy here.
    """
    if not cpu.is_known():
        raise click.ClickException("this system has no /proc/PID/schedstat with the CPU time of threads: use Linux")
    scale = (QUICK if quick else FULL)._replace(against=against)
    if minutes is not None:
        scale = scale._replace(minutes=minutes)
    rows = []
    omitted = ONLY_IF_NAMED + (NOT_QUICK if quick else ())
    for name in names or [name for name in BENCHMARKS if name not in omitted]:
        sys.stderr.write(f"measuring {name}\n")
        found = BENCHMARKS[name](scale)
        rows += found
        if markdown and name not in ONLY_IF_NAMED:
            document.write(found)
    if wants_json:
        click.echo(as_json(rows))
    else:
        show(rows)


if __name__ == "__main__":
    main()
