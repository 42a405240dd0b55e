"""Why a command is refused: the check that failed, and the figures it compared."""

import msgspec

from exchange.domain.events import Event
from exchange.domain.reasons import Reason

Figures = dict[str, int | str]


class FailedCheck(msgspec.Struct, frozen=True):
    """The first check that a command failed.

    `figures` are the numbers that the check compared, by name, each name with its unit; empty if the reason says
    everything. They are for people: the event of the refusal holds only the reason.
    """

    reason: Reason
    figures: Figures = {}


Result = list[Event] | FailedCheck
