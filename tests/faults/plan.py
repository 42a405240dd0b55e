"""The plan of one run: what the clients do and what breaks, as a list that can be printed and made shorter."""

import errno
from random import Random
from typing import NamedTuple

# The steps of the exchange at which it can crash, with the usual number of each in one life.
STEPS = {
    "start": 20, "append": 20, "commit": 40, "synced": 40, "apply": 60, "publish": 40, "send": 60, "sent": 60,
    "digest": 4, "snapshot": 10, "archive": 6, "follower": 2, "history": 6, "file": 4,
}  # fmt: skip
METHODS = ("buy",) * 30 + ("sell",) * 30 + ("cancel",) * 8 + ("edit",) * 8 + (
    "cancel_all", "deposit", "withdraw", "index", "query", "query", "subscribe", "disconnect", "stall",
    "cancel_on_disconnect", "pause", "resume", "close_position",
)  # fmt: skip
CLIENTS = 4


class Action(NamedTuple):
    """A client does something after a pause. `number` determines its parameters."""

    client: int
    pause_us: int
    method: str
    number: int


class Fault(NamedTuple):
    """Something breaks in one life of the exchange, at the `nth` time of something, or after `nth` ms."""

    life: int
    kind: str
    what: str = ""
    nth: int = 0
    errno: int = 0

    def __str__(self) -> str:
        error = f" with {errno.errorcode[self.errno]}" if self.errno else ""
        return f"life {self.life}: {self.kind} {self.what} {self.nth}{error}"


class Plan(NamedTuple):
    """A whole run."""

    seed: int
    actions: list[Action]
    faults: list[Fault]
    # The age at which commands are sealed into an archive.
    archive_after_us: int | None


def plan_of(seed: int) -> Plan:
    """The plan that a seed determines."""
    random = Random(f"{seed}/plan")
    actions = random.choice((10, 15, 20, 30, 70))
    lives = random.randint(1, 5)
    faults = [fault for life in range(1, lives + 1) for fault in _faults(random, life)]
    archive_after_us = random.choice((None, None, 300_000, 1_000_000))
    return Plan(seed, [_action(random) for _ in range(actions)], faults, archive_after_us)


def _action(random: Random) -> Action:
    pause_us = random.choice((0, 0, 100, 1_000, 10_000, 200_000))
    return Action(random.randrange(CLIENTS), pause_us, random.choice(METHODS), random.getrandbits(32))


def _faults(random: Random, life: int) -> list[Fault]:
    faults: list[Fault] = []
    end = random.choice(("kill", "kill", "power cut", "power cut", "power cut", "stop"))
    if end == "stop":
        faults.append(Fault(life, "stop", nth=random.randint(1, 2_000)))
    else:
        step = random.choice(tuple(STEPS))
        faults.append(Fault(life, end, step, random.randint(1, STEPS[step])))
    if random.random() < 0.15:
        faults.append(Fault(life, "journal", random.choice(("full", "write", "sync")), random.randint(1, 40)))
    if random.random() < 0.15:
        kind = random.choice(("snapshot", "archive", "follower", "file"))
        faults.append(Fault(life, "file", kind, random.randint(1, 10), random.choice((errno.ENOSPC, errno.EIO))))
    faults += [Fault(life, "cut", "connection", random.randint(1, 8), 0) for _ in range(random.randint(0, 2))]
    if random.random() < 0.2:
        faults.append(Fault(life, "second start", nth=random.randint(1, 1_500)))
    if random.random() < 0.1:
        faults.append(Fault(life, "clock", nth=random.choice((-30_000, -1_000, 5_000, 30_000))))
    return faults
