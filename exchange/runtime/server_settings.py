"""How one server is run, as opposed to the rules of the exchange, which are in its journal."""

import os
import secrets
from pathlib import Path

import msgspec

from exchange.domain.rules import Market, Rules
from exchange.gateway.limits import REQUESTS_PER_SECOND

SNAPSHOT_EVERY = 100_000  # commands
SNAPSHOTS_KEPT = 3
DEFAULT_RULES = Rules(market=Market())  # of a new journal


class ServerSettings(msgspec.Struct, frozen=True):
    """`clock_start_us`: where exchange time starts (None: now). `rules` matter only to a new journal.

    `demo`: assets of the demo begin with a price, where they have none yet. `crowd_seed`: of the bots that trade on it;
    None: there are none.

    `snapshot_every` commands (0: never while running), `requests_per_second` on one connection (0: any),
    `metrics_port` on the loopback address (0: any free one, None: no metrics).
    """

    path: Path
    host: str = "127.0.0.1"
    port: int = 8765
    clock_start_us: int | None = None
    snapshot_every: int = SNAPSHOT_EVERY
    requests_per_second: int = REQUESTS_PER_SECOND
    demo: bool = False
    metrics_port: int | None = None
    demo_seed: int | None = None
    rules: Rules = DEFAULT_RULES


def admin_secret_file(path: Path) -> Path:
    return path.with_name(path.name + ".admin")


def admin_secret(path: Path) -> str:
    """The administrator's secret for the journal at `path`, made where there is none, readable by its owner only."""
    file = admin_secret_file(path)
    if file.exists() and (known := file.read_text(encoding="ascii").strip()):
        return known
    secret = secrets.token_urlsafe(24)
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as opened:
        opened.write(secret + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)  # never half a secret, and never an empty one
    return secret
