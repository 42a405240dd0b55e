"""The settings of one server. The rules of the exchange are not among them: they are in its journal."""

import secrets
from pathlib import Path

import msgspec

from exchange.atomic_write import create_private
from exchange.domain.rules import Market, Rules, complete_rules
from exchange.gateway.chaos import ChaosPlan
from exchange.gateway.handshake import AllowedPeers
from exchange.gateway.limits import NO_RATES, GatewayLimits
from exchange.keys.key_file import SECRET_MIN, KeyFileError, read_private
from exchange.keys.tls import TlsFiles

# The rules of a new journal.
DEFAULT_RULES = complete_rules(Rules(market=Market()))

# The limits of an exchange in which only its own bots trade.
UNLIMITED = NO_RATES


class ServerSettings(msgspec.Struct, frozen=True):
    """The journal is at `path`; clients connect to `host` and `port`.

    - `clock_start_us`: the start of exchange time (None: now).
    - `snapshot_every`: commands between two snapshots (0: no snapshots while running, None: as the ladder says).
    - `demo`: give the demo's assets a first index price.
    - `metrics_port`: of the metrics and the health (0: any free port, None: no metrics), at `metrics_host`.
    - `demo_seed`: the random seed of the demo's bots (None: no bots).
    - `rules`: those of a new journal. An existing journal has its own.
    - `archive_after_us`: the age of commands that are sealed into archives (None: they stay in the journal).
    - `accept_loss`: continue a journal that lost commands, see `exchange.runtime.accepted_loss`.
    - `delete_archives_after_us`: the age of archives that are deleted (None: all are kept).
    - `needs_keys`: no account is open without a key.
    - `limits`: those of the gateway.
    - `tls`: the certificate of the server (None: no TLS).
    - `chaos`: faults on purpose (None: there are none).
    - `allowed_peers`: the origins and hosts that a client may name besides the exchange's own.
    """

    path: Path
    host: str = "127.0.0.1"
    port: int = 8765
    clock_start_us: int | None = None
    snapshot_every: int | None = None
    demo: bool = False
    metrics_port: int | None = None
    demo_seed: int | None = None
    rules: Rules = DEFAULT_RULES
    archive_after_us: int | None = None
    delete_archives_after_us: int | None = None
    accept_loss: bool = False
    allowed_peers: AllowedPeers = AllowedPeers()
    metrics_host: str = "127.0.0.1"
    needs_keys: bool = False
    limits: GatewayLimits = GatewayLimits()
    tls: TlsFiles | None = None
    chaos: ChaosPlan | None = None


def admin_secret_file(path: Path) -> Path:
    """The file with the administrator's secret, next to the journal at `path`."""
    return path.with_name(path.name + ".admin")


def admin_secret(path: Path) -> str:
    """The administrator's secret for the journal at `path`. Creates it if needed, readable by its owner only.

    Raises KeyFileError if others can read it, if it is too short or not a text.
    """
    file = admin_secret_file(path)
    if file.exists() and file.stat().st_size and (known := read_private(file).strip()):
        if len(known) < SECRET_MIN or len(known.split()) > 1:
            raise KeyFileError(
                f"{file} must hold one word of at least {SECRET_MIN} characters: delete it, and the next start makes a "
                "new secret"
            )
        return known
    secret = secrets.token_urlsafe(24)
    create_private(file, f"{secret}\n".encode("ascii"))
    return secret
