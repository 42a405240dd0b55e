"""Chooses who answers a question: the running exchange, or the recorded data if none runs, or for a past moment.

Both give the same structs, so that a command prints the same either way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from exchange.cli.client import NoServerError, RunningExchange, admin_secret_of, client_of, given_key
from exchange.cli.options import MOMENT
from exchange.cli.questions import Present
from exchange.domain.units import RESERVED_USERS
from exchange.times import Moment

offline_option = click.option(
    "--offline", is_flag=True, help="Read the recorded data, even if an exchange runs and could be asked."
)

at_option = click.option(
    "--at",
    "moment",
    type=MOMENT,
    default=Moment(),
    metavar="SEQ|TIME",
    help="Sequence number or time (docs/operations.md, Times).  [default: now]",
)


@contextmanager
def present(
    path: Path, offline: bool, *user_ids: str | None, needs_admin: bool = False, moment: Moment = Moment()
) -> Iterator[Present]:
    """The running exchange, or the recorded state if none runs, with `offline`, or at a past `moment`.

    A question about one of `user_ids` reads the recorded state too if no client can log in as this user. So does a
    question that needs the administrator if its secret cannot be read.

    Raises JournalError, NoServerError and ServerError.
    """
    if moment != Moment():
        # Only a question to the recorded data imports the code that reads them.
        from exchange.cli.current_views import recorded_at
        from exchange.cli.present_recorded import RecordedPresent

        yield RecordedPresent(recorded_at(path, moment), path)
        return
    users = {user_id for user_id in user_ids if user_id is not None}
    is_recorded = offline or bool(users.intersection(RESERVED_USERS))
    client = None if is_recorded else _client_or_none(path, needs_admin or bool(users))
    if client is None:
        from exchange.cli.current_views import recorded_now
        from exchange.cli.present_recorded import RecordedPresent

        yield RecordedPresent(recorded_now(path), path)
        return
    from exchange.cli.present_running import RunningPresent

    with client:
        yield RunningPresent(client, path)


def _client_or_none(path: Path, needs_secret: bool) -> RunningExchange | None:
    try:
        if needs_secret and given_key() is None:
            admin_secret_of(path)
        return client_of(path)
    except (NoServerError, OSError):
        return None
