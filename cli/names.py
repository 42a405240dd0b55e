"""Errors for names that the exchange does not know, with the nearest names that it knows."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from exchange.cli.options import command_line
from exchange.domain.reasons import Reason
from exchange.projections.wire_types import Instrument

# Names that an error shows.
_NEAREST = 3
_LISTED = 10


class UnknownNameError(click.ClickException):
    """A name that the exchange does not know. `param` is the argument that holds it."""

    def __init__(self, message: str, reason: Reason, param: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.param = param


def unknown_user(user_id: str, known: Iterable[str], path: Path) -> UnknownNameError:
    """An error that names the accounts with similar names, or else the first accounts."""
    return UnknownNameError(
        f"{path} has no account {user_id!r}{nearest_users(user_id, known)}. The first order of a user, or public/auth, "
        "opens an account",
        Reason.UNKNOWN_USER,
        "USER",
    )


def nearest_users(user_id: str, known: Iterable[str]) -> str:
    """A clause such as `; the nearest names are A and B`, or with the first accounts; empty if there is none."""
    # Only an error needs difflib.
    from difflib import get_close_matches

    names = list(known)
    by_lower = {name.lower(): name for name in reversed(names)}
    near = [by_lower[name] for name in get_close_matches(user_id.lower(), by_lower, _NEAREST)]
    if near:
        return f"; the nearest {'name is' if len(near) == 1 else 'names are'} {_joined(near)}"
    return f"; known accounts: {', '.join(names[:_LISTED])}{' …' if len(names) > _LISTED else ''}" if names else ""


def unknown_instrument(instrument_id: str, listed: Iterable[Instrument], path: Path) -> UnknownNameError:
    """An error that names the nearest instruments on the same asset, or else the assets with instruments."""
    all_of_them = command_line("instrument list --all", path)
    return UnknownNameError(
        f"{instrument_id} is not listed in {path}{nearest_instruments(instrument_id, listed)}: "
        f"`{all_of_them}` shows the listed instruments",
        Reason.INSTRUMENT_NOT_FOUND,
        "INSTRUMENT",
    )


def nearest_instruments(instrument_id: str, listed: Iterable[Instrument]) -> str:
    """A clause such as `; the nearest are A, B and C`; empty if nothing is listed."""
    from exchange.domain.instruments import parse_instrument_id

    wanted, known = parse_instrument_id(instrument_id), list(listed)
    near = sorted(
        (one for one in known if one.asset == wanted.asset),
        key=lambda one: (
            abs(one.expiration_s - wanted.expiration_s),
            abs(one.strike_micros - wanted.strike_micros),
            one.option_type != wanted.option_type,
        ),
    )
    if near:
        names = [one.instrument_id for one in near[:_NEAREST]]
        return f"; the nearest {'is' if len(names) == 1 else 'are'} {_joined(names)}"
    assets = sorted({one.asset for one in known})
    return f"; options are listed on {_joined(assets)}" if assets else ""


def _joined(names: Sequence[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
