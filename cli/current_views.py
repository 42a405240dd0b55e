"""The views as of the last recorded command, for commands that show them."""

from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.progress import ReplayBar
from exchange.engine.recovery import recover
from exchange.projections.views import Views


def read_views(path: Path) -> Views:
    """Every read model as of the last durable command, whether or not a server runs. Raises a JournalError."""
    with ReplayBar() as bar:
        return recover(path, lambda sentence: None, bar).engine.views


def as_of(views: Views) -> str:
    """Which moment the views show, for a caption."""
    return f"at seq {views.seq}, {short_time(views.ts_us)}"


def require_user(views: Views, user_id: str, path: Path) -> None:
    """Fail, naming those there are, where `user_id` has no account."""
    known = list(views.balances.users)
    if user_id not in known:
        others = f"; it has {', '.join(known[:10])}{' …' if len(known) > 10 else ''}" if known else ""
        raise click.ClickException(
            f"{path} has no account {user_id!r}{others}. A first order, or public/auth, opens an account"
        )


def require_instrument(views: Views, instrument_id: str, path: Path) -> None:
    """Fail where `instrument_id` was never listed."""
    if instrument_id not in views.instruments:
        raise click.ClickException(f"{path} lists no {instrument_id}: see `exchange instrument list --all`")
