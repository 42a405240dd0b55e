"""Names that a shell completes: instruments, assets and users of the journal. It answers quickly or not at all.

The names come from the history file next to the journal. If there is none, the running exchange is asked; it tells its
users only to the administrator, whose secret is next to the journal.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Literal

import click
from click.shell_completion import CompletionItem

Kind = Literal["instrument", "asset", "user"]

# The journal of commands without --db.
DEFAULT_JOURNAL = "data/exchange.db"
_NAMES_MAX = 200
# A shell waits for the answer, so the exchange has little time.
_ANSWER_SECONDS = 1.0
# Open instruments come first, and the newest users last.
_QUERIES: dict[Kind, str] = {
    "instrument": "SELECT instrument_id FROM instrument WHERE instrument_id LIKE ? ESCAPE '!' AND created_seq > 0 "
    "ORDER BY state = 'expired', expiration_s, strike_micros, option_type LIMIT ?",
    "asset": "SELECT DISTINCT asset FROM instrument WHERE asset LIKE ? ESCAPE '!' ORDER BY 1 LIMIT ?",
    "user": "SELECT user_id FROM user WHERE user_id LIKE ? ESCAPE '!' AND opened_seq > 0 ORDER BY 1 LIMIT ?",
}


def complete_names(kind: Kind, context: click.Context, incomplete: str) -> list[CompletionItem]:
    """The names of this kind that begin with `incomplete`, at most 200. An empty list if there is no quick answer."""
    path = context.params.get("path") or Path(os.environ.get("EXCHANGE_DB") or DEFAULT_JOURNAL)
    start = incomplete if kind == "user" else incomplete.upper()
    names: list[str] = []
    with contextlib.suppress(sqlite3.Error):
        names = _of_history(kind, path, start)
    # The history of a new exchange has no names yet.
    names = names or _of_exchange(kind, path)
    return [CompletionItem(name) for name in names if name.startswith(start)][:_NAMES_MAX]


def _of_history(kind: Kind, path: Path, start: str) -> list[str]:
    """Names in the history of the journal at `path`. Raises sqlite3.Error if there is none that can be read."""
    file = path.with_name(path.name.removesuffix(".db") + ".history.db").absolute()
    escaped = "".join(f"!{character}" if character in "!%_" else character for character in start)
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=0.1)) as connection:
        return [name for (name,) in connection.execute(_QUERIES[kind], (f"{escaped}%", _NAMES_MAX))]


def _of_exchange(kind: Kind, path: Path) -> list[str]:
    """Names that the exchange on the journal at `path` lists; none if no exchange answers at once."""
    import asyncio

    from exchange.client import ExchangeError, connect
    from exchange.journal.errors import JournalError
    from exchange.journal.lock import lock_owner
    from exchange.keys.tls import local_context
    from exchange.runtime.server_settings import admin_secret_file

    async def ask(url: str) -> list[str]:
        tls = local_context(url, path)
        async with asyncio.timeout(_ANSWER_SECONDS), connect(url, reconnects=False, tls=tls) as client:
            if kind == "user":
                secret = admin_secret_file(path).read_text(encoding="ascii").strip()
                admin = {"grant_type": "client_credentials", "client_id": "admin", "client_secret": secret}
                await client.call("public/auth", **admin)
                found = await client.call("admin/get_accounts", count=_NAMES_MAX)
                return sorted(account["user_id"] for account in found["accounts"])
            listed = await client.get_instruments()
        return sorted({one.instrument_id if kind == "instrument" else one.asset for one in listed})

    with contextlib.suppress(ExchangeError, JournalError, OSError):
        owner = lock_owner(path)
        if owner is not None and owner.url is not None:
            return asyncio.run(ask(owner.url))
    return []
