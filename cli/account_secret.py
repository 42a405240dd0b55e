"""`exchange account secret`: make a key for an account."""

import time
from pathlib import Path

import click
import msgspec

from exchange.amounts import iso_time
from exchange.atomic_write import create_private
from exchange.cli.client import NoServerError, ServerError, call_as_admin
from exchange.cli.options import DURATION_US, TIME, USER, db_option, json_option
from exchange.cli.output import print_json
from exchange.domain.reasons import Reason
from exchange.domain.units import RESERVED_USERS
from exchange.keys.account_ids import why_reserved
from exchange.keys.client_key import ClientKey
from exchange.keys.key import RIGHTS, Key, Right, new_key
from exchange.keys.key_file import change_keys


@click.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.option(
    "--rights",
    "right",
    type=click.Choice(RIGHTS),
    default="trade",
    show_default=True,
    help="What the key may do. trade includes read, admin includes both and all `admin` methods.",
)
@click.option(
    "--expires-in", "lasts_us", type=DURATION_US, metavar="AGE", help="End of the key after this time, such as 90d."
)
@click.option("--expires", "expires_us", type=TIME, metavar="TIME", help="End of the key (UTC).  [default: never]")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the key into this new file, for --key-file."
)
@click.option("--url", help="URL of the exchange, for the file of --out, if its clients run on other machines.")
@db_option
@json_option
def secret(
    user_id: str,
    right: Right,
    lasts_us: int | None,
    expires_us: int | None,
    out: Path | None,
    url: str | None,
    path: Path,
    as_json: bool,
) -> None:
    """Make a key for an account.

    A key is a client id and a secret, which is shown once. From then on, no client enters the account without one of
    its keys. A running exchange takes the key at once, and ends connections that entered the account without one.

    \b
    Examples:
      exchange account secret alice --expires-in 90d
      exchange account secret alice --rights read --out alice-read.key
    """
    _refuse_wrong(user_id, lasts_us, expires_us, out, url)
    now_us = time.time_ns() // 1_000
    key = new_key(user_id, right, now_us, now_us + lasts_us if lasts_us else expires_us)
    if out is not None:
        content = msgspec.json.encode(ClientKey(key.client_id, key.secret, url))
        create_private(out, msgspec.json.format(content) + b"\n")
    change_keys(path, lambda keys: [*keys, key])
    if as_json:
        shown = {"client_id": key.client_id, "client_secret": key.secret if out is None else None}
        file = None if out is None else str(out)
        print_json(shown | {"rights": key.right, "expires_us": key.expires_us, "file": file})
    else:
        _print(key, out)
    _warn_if_new(user_id, path)


def _warn_if_new(user_id: str, path: Path) -> None:
    """Tell a user who may have mistyped the name; without a running exchange this is not known."""
    try:
        call_as_admin(path, "admin/get_account", user_id=user_id)
    except ServerError as error:
        if error.reason == Reason.UNKNOWN_USER.value:
            click.echo(f"there is no account {user_id!r} yet: the first login with the key opens it", err=True)
    except NoServerError:
        pass


def _refuse_wrong(
    user_id: str, lasts_us: int | None, expires_us: int | None, out: Path | None, url: str | None
) -> None:
    """Raise a UsageError for options that contradict each other, and for an account of the exchange itself."""
    reason = why_reserved(user_id)
    if user_id in RESERVED_USERS and user_id != "admin":
        reason = f"{user_id!r} is an account of the exchange itself: no client may enter it"
    if reason is not None:
        raise click.BadParameter(reason, param_hint="'USER'")
    if lasts_us is not None and expires_us is not None:
        raise click.UsageError("--expires-in and --expires contradict each other: leave out one")
    if expires_us is not None and expires_us <= time.time_ns() // 1_000:
        raise click.BadParameter(f"{iso_time(expires_us)} is in the past", param_hint="'--expires'")
    if url is not None and out is None:
        raise click.UsageError("--url needs --out: add it, or leave --url out")
    if out is not None and out.exists():
        raise click.BadParameter(f"{out} exists: choose another file, or delete it", param_hint="'--out'")


def _print(key: Key, out: Path | None) -> None:
    click.echo(f"client id      {key.client_id}")
    click.echo(f"client secret  {key.secret if out is None else f'in {out} (only you can read it)'}")
    click.echo(f"rights         {key.right}")
    click.echo(f"expires        {'never' if key.expires_us is None else iso_time(key.expires_us)}")
    if out is None:
        click.echo("The secret is not shown again.")
