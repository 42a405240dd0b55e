"""The options of `serve` and `demo` that say who may connect."""

import functools
from collections.abc import Callable
from typing import Any

import click

from exchange.cli.options import Parsed
from exchange.gateway.handshake import AllowedPeers, parse_host, parse_origin

ORIGIN = Parsed("origin", parse_origin)
HOST = Parsed("host", parse_host)


require_keys_option = click.option(
    "--require-keys", "needs_keys", is_flag=True, help="Open no account without a key. See `exchange account secret`."
)


def peer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --allow-origin and --allow-host; the command gets them as `allowed_peers`."""

    @click.option(
        "--allow-origin",
        type=ORIGIN,
        multiple=True,
        metavar="ORIGIN",
        help="Let pages of this origin connect, such as https://exchange.example. Repeatable.  "
        "[default: only pages of the exchange itself]",
    )
    @click.option(
        "--allow-host",
        type=HOST,
        multiple=True,
        metavar="NAME[:PORT]",
        help="Accept clients that call the exchange by this name, such as that of a reverse proxy. Without a PORT, "
        "any. Repeatable.  [default: its address, and localhost]",
    )
    @functools.wraps(command)
    def with_peers(*args: Any, allow_origin: tuple[Any, ...], allow_host: tuple[Any, ...], **options: Any) -> Any:
        return command(*args, allowed_peers=AllowedPeers(allow_origin, allow_host), **options)

    return with_peers
