"""The parameters and the result of the replay/* methods."""

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from exchange.gateway import params as p

# Units of one step, such as trades.
STEPS_MAX = 1_000


class StepUnit(enum.StrEnum):
    """What `replay/step` counts: commands, commands that traded, or seconds of recorded time."""

    COMMAND = "command"
    TRADE = "trade"
    SECOND = "second"


class ReplayStatus(msgspec.Struct, frozen=True):
    """The position and the speed of a replay.

    `speed` None: as fast as possible. `seeking` is the target of a running seek; until then the replay stands still.
    """

    seq: int
    ts_us: int
    first_seq: int
    last_seq: int
    speed: float | None
    paused: bool
    at_end: bool
    seeking: int | None = None


class SeekParams(p.Params, frozen=True):
    """Parameters of `replay/seek`: exactly one of the two."""

    seq: p.Seq | None = None
    ts_us: p.Number | None = None


class SpeedParams(p.Params, frozen=True):
    """Parameters of `replay/speed`."""

    speed: Annotated[float, Meta(gt=0)] | None


class StepParams(p.Params, frozen=True):
    """Parameters of `replay/step`: the unit, and how many; a negative number goes back."""

    by: StepUnit = StepUnit.COMMAND
    count: Annotated[int, Meta(ge=-STEPS_MAX, le=STEPS_MAX)] = 1
