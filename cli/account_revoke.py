"""`exchange account revoke`: revoke keys."""

import time
from pathlib import Path

import click

from exchange.cli.options import Parsed, db_option, json_option
from exchange.cli.output import print_answer
from exchange.keys.key import Key, is_key_id, user_of
from exchange.keys.key_file import change_keys


def _client_id(text: str) -> str:
    if not is_key_id(text):
        raise ValueError(f"{text!r} is not the client id of a key; expected one such as alice:0a1b2c3d")
    return text


@click.command()
@click.argument("client_id", metavar="CLIENT_ID", type=Parsed("client id", _client_id))
@click.option(
    "--open", "opens", is_flag=True, help="If this was the last valid key, open the account without a key again."
)
@db_option
@json_option
def revoke(client_id: str, opens: bool, path: Path, as_json: bool) -> None:
    """Revoke a key. Its secret is deleted, and a running exchange ends its connections within a second.

    The account stays closed to clients without a key, also if it has no valid key any more.

    \b
    Example:
      exchange account revoke alice:0a1b2c3d
    """
    now_us = time.time_ns() // 1_000
    is_open = False

    def revoked(keys: list[Key]) -> list[Key]:
        nonlocal is_open
        if not any(key.client_id == client_id for key in keys):
            raise click.BadParameter(
                f"there is no key {client_id}: `exchange account secrets` lists them", param_hint="'CLIENT_ID'"
            )
        changed = [_revoked(key, now_us) if key.client_id == client_id else key for key in keys]
        user_id = user_of(client_id)
        is_open = opens and all(key.state(now_us) != "valid" for key in changed if key.user_id == user_id)
        return [key for key in changed if key.user_id != user_id] if is_open else changed

    change_keys(path, revoked)
    text = f"{client_id} is revoked" + (f"; {user_of(client_id)} needs no key any more" if is_open else "")
    print_answer({"client_id": client_id, "opened": is_open}, text, as_json)


def _revoked(key: Key, now_us: int) -> Key:
    return key if key.revoked_us is not None else key.revoked(now_us)
