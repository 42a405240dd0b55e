"""The answers to `/health` and `/ready`, for load balancers, containers and people."""

import math
from collections.abc import Mapping

import msgspec

from exchange.runtime.figures import Value


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a running exchange.

    `healthy`: it answers, and no alarm stands. `ready`: it accepts commands now. `problems` says why not, in sentences.
    A figure is null if it is unknown, and `disk_full_seconds` also if nothing grows.
    """

    healthy: bool
    ready: bool
    problems: list[str]
    seq: int | None = None
    history_seq: int | None = None
    history_lag: int | None = None
    disk_free_bytes: int | None = None
    disk_full_seconds: float | None = None
    alarm: str | None = None
    clock_jump_us: int | None = None
    journal_unavailable: bool | None = None


def health_of(figures: Mapping[str, Value], why_not_ready: list[str], alarm: str | None) -> Health:
    """The health of an exchange with these figures."""
    full_seconds = _number(figures, "exchange_disk_full_seconds")
    return Health(
        healthy=alarm is None,
        ready=not why_not_ready,
        problems=[*([] if alarm is None else [f"an alarm stands: {alarm}"]), *why_not_ready],
        seq=_whole(figures, "exchange_journal_seq"),
        history_seq=_whole(figures, "exchange_history_seq"),
        history_lag=_whole(figures, "exchange_history_lag_commands"),
        disk_free_bytes=_whole(figures, "exchange_disk_free_bytes"),
        disk_full_seconds=None if full_seconds is None or math.isinf(full_seconds) else full_seconds,
        alarm=alarm,
        clock_jump_us=round(1e6 * (_number(figures, "exchange_clock_jump_seconds") or 0)),
        journal_unavailable=bool(_number(figures, "exchange_journal_unavailable")),
    )


def _number(figures: Mapping[str, Value], name: str) -> float | None:
    value = figures[name]
    assert value is None or isinstance(value, int | float), f"{name} is not one number"
    return value


def _whole(figures: Mapping[str, Value], name: str) -> int | None:
    value = _number(figures, name)
    return None if value is None else int(value)
