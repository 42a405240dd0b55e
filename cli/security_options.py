"""The options of `serve` and `demo` for access: keys, TLS, browsers, file modes."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from exchange.cli.options import Parsed
from exchange.cli.server_process import is_loopback
from exchange.file_modes import FILE_MODES, set_file_mode
from exchange.gateway.handshake import AllowedPeers, parse_host, parse_origin
from exchange.keys.tls import TlsFiles

ORIGIN = Parsed("origin", parse_origin)
HOST = Parsed("host", parse_host)
_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


class Access(NamedTuple):
    """Who may connect to the server, and how."""

    allowed_peers: AllowedPeers
    needs_keys: bool
    tls: TlsFiles | None


def _set_file_mode(_ctx: click.Context, _param: click.Parameter, mode: str | None) -> None:
    if mode is not None:
        set_file_mode(FILE_MODES[mode])


def access_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as `access`. Its option --host must be in `host`."""

    @click.option("--require-keys", is_flag=True, help="Open no account without a key. See `exchange account secret`.")
    @click.option(
        "--tls-cert",
        type=_FILE,
        help="Serve TLS (wss) with the certificate in this file, in PEM format with its chain. SIGHUP reads it again.",
    )
    @click.option("--tls-key", type=_FILE, help="File with the private key of --tls-cert, in PEM format.")
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
    @click.option(
        "--file-mode",
        type=click.Choice(list(FILE_MODES)),
        callback=_set_file_mode,
        expose_value=False,
        help="Mode of new files; 0640 lets a group read them. Those with secrets always get 0600.  [default: 0600]",
    )
    @click.option(
        "--insecure",
        is_flag=True,
        help="Listen on an address that other machines can connect to, without keys and TLS.",
    )
    @functools.wraps(command)
    def with_access(
        *args: Any,
        host: str,
        require_keys: bool,
        tls_cert: Path | None,
        tls_key: Path | None,
        allow_origin: tuple[Any, ...],
        allow_host: tuple[Any, ...],
        insecure: bool,
        **options: Any,
    ) -> Any:
        if (tls_cert is None) != (tls_key is None):
            raise click.UsageError("--tls-cert and --tls-key belong together: give both, or none")
        is_foreign = not is_loopback(host)
        if is_foreign and not insecure and tls_cert is None:
            raise click.UsageError(
                f"other machines can connect to {host!r}: add --tls-cert and --tls-key, and every account needs a key "
                "(`exchange account secret`). Or add --insecure: then each machine on the way can read the traffic, "
                "and any client can trade as any user without a key"
            )
        tls = None if tls_cert is None or tls_key is None else TlsFiles(tls_cert, tls_key)
        needs_keys = require_keys or (is_foreign and not insecure)
        access = Access(AllowedPeers(allow_origin, allow_host), needs_keys, tls)
        return command(*args, host=host, access=access, **options)

    return with_access
