"""The alarm, a file next to the journal: applying the commands again gave other digests than the recorded ones.

It stands until it is dismissed or the digests match again. Until then the history ends at the last command whose
digests matched.
"""

from pathlib import Path

import msgspec

from exchange.atomic_write import write_atomic


class Alarm(msgspec.Struct, frozen=True):
    """`seq` is that of the digest that differs. After a dismissal, digests up to this seq are not compared.

    `compared_seq` is that of the last digest before it that matched, 0 if there is none.
    """

    seq: int
    text: str
    is_dismissed: bool = False
    compared_seq: int = 0

    @property
    def end_of_history(self) -> str:
        """Why the history ends early, as a sentence for users."""
        return f"the history ends at seq {self.compared_seq} because of an alarm: {self.text}"


def standing_alarm(path: Path) -> Alarm | None:
    """The alarm of the journal at `path`, unless it was dismissed."""
    alarm = _read(path)
    return None if alarm is None or alarm.is_dismissed else alarm


def dismissed_seq(path: Path) -> int:
    """The seq of the last dismissed digest; 0 if none was dismissed."""
    alarm = _read(path)
    return alarm.seq if alarm is not None and alarm.is_dismissed else 0


def raise_alarm(path: Path, alarm: Alarm) -> None:
    """Write the alarm file. An earlier alarm is replaced."""
    write_atomic(alarm_file(path), msgspec.json.encode(alarm))


def dismiss_alarm(path: Path) -> Alarm | None:
    """Dismiss the standing alarm, so that its mismatch is ignored. Returns it; None if no alarm stands."""
    if alarm := standing_alarm(path):
        raise_alarm(path, msgspec.structs.replace(alarm, is_dismissed=True))
    return alarm


def clear_alarm(path: Path) -> None:
    """Remove the alarm: the digests match again."""
    alarm_file(path).unlink(missing_ok=True)


def alarm_file(path: Path) -> Path:
    """The file of the alarm of the journal at `path`."""
    return path.with_name(path.name + ".alarm")


def _read(path: Path) -> Alarm | None:
    try:
        return msgspec.json.decode(alarm_file(path).read_bytes(), type=Alarm)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        return Alarm(0, f"an alarm was raised, but its file {alarm_file(path)} cannot be read ({error})")
