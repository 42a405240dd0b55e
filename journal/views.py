"""The SQL views of a journal. `views.sql` is their only definition.

Views of the results of commands are in the history; journals of earlier versions had them.

A journal gets these views whenever it is opened for writing and has others. The text that SQLite keeps of a view is
compared, so no version number has to be raised when `views.sql` changes.
"""

import hashlib
import re
import sqlite3
from collections.abc import Collection
from functools import cache
from importlib.resources import files

# Fingerprints of the views that releases put into journals. A journal or an archive that only an older release has
# written still holds these: they are old, not damaged. Add the fingerprint of the released views here before changing
# `views.sql`; a test of the old schemas fails otherwise.
RELEASED = (
    "852ef9832df447c3b66f73646fb552531d71fc5e8f878fa0a0ce53d58e5ca40d",
    "bc465fbfffd23768b2bf1151988cf0bd5b72375fea9803c2d4df7ed862972faf",
    "a89d1b1948c53380886dc9d70dd50f586266b41c13aab64196150657664bd799",
    "33fd50282aa4c468672209344c84dbddb9e4836559789888a27409346c9e442b",
)
# The first schema with views, and the first one without those of results.
_FIRST_SCHEMA = 3
_FIRST_SCHEMA_WITHOUT_RESULTS = 7
# The views of earlier schemas.
_FORMER = (
    *("trades", "fills", "order_history", "orders", "open_orders", "commands_decoded", "balances", "ledger"),
    *("cash_flows", "positions", "instruments", "sessions", "index_prices", "marks", "liquidations"),
    *("delivery_prices", "settlements", "rules_history"),
)
_UTC_ISO = re.compile(r"\butc_iso\(([\w.]+)\)")
_UTC_ISO_SQL = r"strftime('%Y-%m-%dT%H:%M:%S', \1 / 1000000, 'unixepoch') || printf('.%06dZ', \1 % 1000000)"


@cache
def view_texts() -> dict[str, str]:
    """The text that SQLite keeps of each view, by name."""
    scratch = sqlite3.connect(":memory:")
    try:
        scratch.executescript(creation_script())
        return _texts_in(scratch)
    finally:
        scratch.close()


def creation_script() -> str:
    """SQL that creates all views."""
    return with_macros(files("exchange.journal").joinpath("views.sql").read_text(encoding="utf-8"))


def with_macros(text: str) -> str:
    """SQL with the macro `utc_iso(us)` replaced by an expression that every SQLite knows."""
    return _UTC_ISO.sub(_UTC_ISO_SQL, text)


def replacement_script() -> str:
    """SQL that replaces the views of these names by those of `views.sql`."""
    return "".join(f"DROP VIEW IF EXISTS {name};\n" for name in view_texts()) + creation_script()


def are_current(connection: sqlite3.Connection) -> bool:
    """True if the database has exactly these views; views that a user added do not count."""
    return _named_in(connection, view_texts()) == view_texts()


def view_faults(connection: sqlite3.Connection, schema: int) -> list[str]:
    """The views that are missing or changed. The views of an older release are no fault.

    `schema`: the number of migrations that the journal has had.
    """
    expected = view_texts()
    is_old = schema < _FIRST_SCHEMA_WITHOUT_RESULTS
    found = _named_in(connection, _FORMER if is_old else expected)
    if fingerprint(found) in RELEASED or (schema < _FIRST_SCHEMA and not found):
        return []
    if is_old:
        return ["the views are not those of a release of the exchange"]
    return [
        f"view {name} is {'missing' if name not in found else 'not as it was made'}"
        for name, text in expected.items()
        if found.get(name) != text
    ]


def fingerprint(texts: dict[str, str]) -> str:
    """A SHA-256 of the names and texts of views."""
    text = "".join(f"{name}\n{texts[name]}\n" for name in sorted(texts))
    return hashlib.sha256(text.encode()).hexdigest()


def _named_in(connection: sqlite3.Connection, names: Collection[str]) -> dict[str, str]:
    return {name: text for name, text in _texts_in(connection).items() if name in names}


def _texts_in(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, sql FROM main.sqlite_schema WHERE type = 'view'").fetchall())
