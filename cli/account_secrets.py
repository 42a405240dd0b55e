"""`exchange account secrets`: list the keys of all accounts or of one."""

import time
from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.options import USER, db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.keys.key import Key
from exchange.keys.key_file import read_keys, read_uses


@click.command()
@click.argument("user_id", metavar="[USER]", type=USER, required=False)
@db_option
@json_option
def secrets(user_id: str | None, path: Path, as_json: bool) -> None:
    """List the keys of all accounts or of one, with their last use. The secrets are not shown.

    \b
    Example:
      exchange account secrets alice
    """
    keys = [key for key in read_keys(path) if user_id in (None, key.user_id)]
    uses, now_us = read_uses(path), time.time_ns() // 1_000
    if as_json:
        print_json([_fields(key, uses.get(key.client_id), now_us) for key in keys])
    elif keys:
        shown = table("client id", "rights", "state", "created", "expires", "last use", optional=("created",))
        rows = (
            (
                key.client_id,
                key.right,
                key.state(now_us),
                short_time(key.created_us),
                _time(key.expires_us),
                _time(uses.get(key.client_id)),
            )
            for key in keys
        )
        add_rows(shown, rows)
        print_tables(shown)
    else:
        whose = "no account has a key" if user_id is None else f"{user_id} has no key"
        click.echo(f"{whose}: `exchange account secret USER` makes one")


def _fields(key: Key, last_use_us: int | None, now_us: int) -> dict[str, str | int | None]:
    return {
        "client_id": key.client_id,
        "user_id": key.user_id,
        "rights": key.right,
        "state": key.state(now_us),
        "created_us": key.created_us,
        "expires_us": key.expires_us,
        "revoked_us": key.revoked_us,
        "last_use_us": last_use_us,
    }


def _time(time_us: int | None) -> str:
    return "never" if time_us is None else short_time(time_us)
