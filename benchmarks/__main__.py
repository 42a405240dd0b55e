"""`python -m benchmarks [NAME ...]`: measure, and print a table of figures, each with its reference."""

import sys

from benchmarks import engine, follower, history, memory, metrics, orders, recovery, snapshots, startup
from benchmarks.table import show

BENCHMARKS = {
    "engine": engine.run,
    "orders": orders.run,
    "metrics": metrics.run,
    "follower": follower.run,
    "memory": memory.run,
    "snapshots": snapshots.run,
    "recovery": recovery.run,
    "history": history.run,
    "startup": startup.run,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.stderr.write(f"no benchmark is called {', '.join(unknown)}: there are {', '.join(BENCHMARKS)}\n")
        return 2
    rows = []
    for name in names or BENCHMARKS:
        rows += BENCHMARKS[name]()
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
