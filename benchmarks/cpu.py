"""CPU time of a running server by its parts, from the scheduler's own counters in /proc, in nanoseconds.

On a busy machine this is the steadier figure: it does not count the time for which a thread waits for a core.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

# (process, thread) -> nanoseconds.
Sample = dict[tuple[int, int], int]
OWN_PARTS = ("main thread", "journal thread", "other threads")
PARTS = (*OWN_PARTS, "follower", "other processes")


def is_known() -> bool:
    """True if this system tells the CPU time of threads."""
    return Path("/proc/self/schedstat").exists()


def sample(pid: int) -> Sample:
    """The CPU time of each thread of a process and of its descendants."""
    times: Sample = {}
    for thread in _threads(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text(encoding="ascii")
            times[pid, thread] = int(text.split()[0])
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii").split():
                times |= sample(int(child))
    return times


def by_part(pid: int, before: Sample, after: Sample) -> dict[str, int]:
    """The CPU time between two samples of a server, by the names in `PARTS`.

    The journal's thread is the busiest one that is not the main thread.
    """
    used = {key: ns - before.get(key, 0) for key, ns in after.items()}
    own = sorted((ns for (process, thread), ns in used.items() if process == pid != thread), reverse=True)
    parts = dict.fromkeys(PARTS, 0)
    parts["main thread"] = used.get((pid, pid), 0)
    parts["journal thread"], parts["other threads"] = sum(own[:1]), sum(own[1:])
    for (process, _), ns in used.items():
        if process != pid:
            parts["follower" if _is_follower(process) else "other processes"] += ns
    return parts


def text_of(parts_us: Mapping[str, float]) -> str:
    """The parts that are not nothing, such as `main thread 88.1, journal thread 21.9`."""
    return ", ".join(f"{name} {us:.1f}" for name, us in parts_us.items() if us >= 0.05)


def _threads(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    return []


def _is_follower(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return b"exchange.runtime.follower" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
