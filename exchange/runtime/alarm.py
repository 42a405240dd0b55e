"""The alarm: the commands do not cause what was recorded. It stays, in a file, until somebody deals with it."""

from pathlib import Path

import msgspec

from exchange.atomic_write import write_atomic


class Alarm(msgspec.Struct, frozen=True):
    """`seq`: of the digest that came out differently. Once dismissed, it and those before it are passed over."""

    seq: int
    text: str
    is_dismissed: bool = False


def standing_alarm(path: Path) -> Alarm | None:
    """The alarm that was raised for the journal at `path` and not dealt with."""
    alarm = _read(path)
    return None if alarm is None or alarm.is_dismissed else alarm


def dismissed_seq(path: Path) -> int:
    """Up to which digests that differ were dismissed; 0: none."""
    alarm = _read(path)
    return alarm.seq if alarm is not None and alarm.is_dismissed else 0


def raise_alarm(path: Path, alarm: Alarm) -> None:
    write_atomic(_file(path), msgspec.json.encode(alarm))


def dismiss_alarm(path: Path) -> Alarm | None:
    """Somebody looked into it, and it is to be passed over; returns the one that stood."""
    if alarm := standing_alarm(path):
        raise_alarm(path, msgspec.structs.replace(alarm, is_dismissed=True))
    return alarm


def clear_alarm(path: Path) -> None:
    """What the alarm was raised for is not so any more."""
    _file(path).unlink(missing_ok=True)


def _file(path: Path) -> Path:
    return path.with_name(path.name + ".alarm")


def _read(path: Path) -> Alarm | None:
    try:
        return msgspec.json.decode(_file(path).read_bytes(), type=Alarm)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        return Alarm(0, f"an alarm was raised, but {_file(path)} cannot be read ({error})")
