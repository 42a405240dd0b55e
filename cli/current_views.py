"""The views as of the last recorded command, for commands that show them."""

from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.progress import ReplayBar
from exchange.engine.recovery import recover
from exchange.projections.views import Views


def read_views(path: Path) -> Views:
    """All views after the last recorded command, whether or not a server runs. Raises JournalError."""
    with ReplayBar() as bar:
        return recover(path, lambda sentence: None, bar).engine.views


def as_of(views: Views) -> str:
    """The moment that the views show, for a caption."""
    return f"at seq {views.seq}, {short_time(views.ts_us)}"


def require_user(views: Views, user_id: str, path: Path) -> None:
    """Raise a ClickException that lists the known accounts if `user_id` has none."""
    known = list(views.balances.users)
    if user_id not in known:
        others = f"; known accounts: {', '.join(known[:10])}{' …' if len(known) > 10 else ''}" if known else ""
        raise click.ClickException(
            f"{path} has no account {user_id!r}{others}. The first order of a user, or public/auth, opens an account"
        )


def require_instrument(views: Views, instrument_id: str, path: Path) -> None:
    """Raise a ClickException if `instrument_id` was never listed."""
    if instrument_id not in views.instruments:
        raise click.ClickException(
            f"{instrument_id} is not listed in {path}: `exchange instrument list --all` shows the listed instruments"
        )
