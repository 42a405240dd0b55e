"""The questions of the benchmark `history`: commands and queries about the past, each with its goals."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

SQL_DOCUMENT = Path(__file__).parent.parent / "docs" / "sql.md"
SHELL_CPU_SECONDS = 2.0
COOKBOOK_CPU_SECONDS = 1.0
MOMENT_SQL_SECONDS = 0.05

# The columns by which each documented view is filtered.
FILTERS = {
    "orders": ("user_id", "instrument_id", "order_id", "created_us"),
    "open_orders": ("user_id", "instrument_id", "order_id", "created_us"),
    "order_history": ("user_id", "instrument_id", "order_id", "ts_us"),
    "trades": ("taker_user_id", "maker_user_id", "instrument_id", "taker_order_id", "ts_us"),
    "fills": ("user_id", "instrument_id", "order_id", "ts_us"),
    "ledger": ("user_id", "instrument_id", "ts_us"),
    "balances": ("user_id",),
    "positions": ("user_id", "instrument_id"),
    "instruments": ("instrument_id", "created_us"),
    "sessions": ("started_us",),
    "commands_decoded": ("user_id", "instrument_id", "order_id", "ts_us"),
    "cash_flows": ("user_id", "instrument_id", "ts_us"),
    "index_prices": ("asset", "ts_us"),
    "marks": ("instrument_id", "ts_us"),
    "liquidations": ("user_id", "ts_us"),
    "delivery_prices": ("asset", "ts_us"),
    "settlements": ("user_id", "instrument_id", "ts_us"),
    "rules_history": ("ts_us",),
}
# Every filtered query returns at most this many rows, so that queries of all sizes of a journal can be compared.
ROWS_MAX = 50

# About 250 commands of the live market.
TIME_WINDOW_US = 120_000_000


class Names(NamedTuple):
    """What the questions ask about: a moment, the share of commands before it, and names that are busy around it."""

    percent: float
    seq: int
    ts_us: int
    user_id: str
    instrument_id: str
    order_id: int
    asset: str


class Question(NamedTuple):
    """A command line after `exchange`, or a query if `sql` is given. The goals are in seconds; None: no goal."""

    name: str
    arguments: tuple[str, ...] = ()
    sql: str = ""
    cpu_goal: float | None = SHELL_CPU_SECONDS
    sql_goal: float | None = None


def names_of(path: Path, percent: float = 50) -> Names:
    """Choose what to ask about in the journal at `path`, after this share of its commands."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (last,) = connection.execute("SELECT max(seq) FROM commands").fetchone()
        at = int(last * percent / 100)
        seq, ts_us = connection.execute("SELECT seq, ts_us FROM commands WHERE seq = ?", (at,)).fetchone()
        user_id, instrument_id = connection.execute(
            "SELECT user_id, instrument_id FROM commands WHERE seq < ? AND kind = 'place_order' "
            "AND user_id LIKE 'trader-%' ORDER BY seq DESC LIMIT 1",
            (seq,),
        ).fetchone()
        (order_id,) = connection.execute(
            "SELECT payload ->> '$.order_id' FROM commands WHERE seq < ? AND kind = 'edit_order' "
            "ORDER BY seq DESC LIMIT 1",
            (seq,),
        ).fetchone()
    return Names(percent, seq, ts_us, user_id, instrument_id, int(order_id), instrument_id.split("_")[0])


def commands(names: Names, folder: Path) -> Iterator[Question]:
    """Yield the commands that ask about the past. Those without a goal take one replay; `folder` is for their files."""
    at, user, instrument = str(names.seq), names.user_id, names.instrument_id
    yield Question("version", ("--version",))
    yield Question("state --at", ("state", "--at", at))
    yield Question("state --at --book", ("state", "--at", at, "--book", instrument))
    yield Question("state --at --account --orders", ("state", "--at", at, "--account", user, "--orders", user))
    yield Question("state", ("state",))
    yield Question("order list", ("order", "list", "--user", user))
    yield Question("account show", ("account", "show", user))
    yield Question("ticker", ("ticker", "--asset", names.asset))
    yield Question("instrument list", ("instrument", "list"))
    yield Question("index show", ("index", "show"))
    yield Question("settlements", ("settlements",))
    yield Question("settlements --user", ("settlements", "--user", user))
    yield Question("explain ORDER", ("explain", str(names.order_id)))
    yield Question("explain --seq", ("explain", "--seq", at))
    yield Question("sessions", ("sessions",))
    yield Question("snapshot list", ("snapshot", "list"))
    yield Question("journal info", ("journal", "info"))
    yield Question("journal tail", ("journal", "tail"))
    yield Question("chart price", ("chart", "price", instrument, "--out", str(folder / "price.svg")))
    yield Question("fork --at", ("fork", "--at", at, str(folder / "fork.db")), cpu_goal=None)


def moments(names: Names) -> Iterator[Question]:
    """Yield the questions about a moment that SQL must answer within MOMENT_SQL_SECONDS."""
    seq, user, instrument = names.seq, names.user_id, names.instrument_id
    queries = {
        "book": f"SELECT book_at({seq}, '{instrument}', 20)",
        "account": f"SELECT balance_at({seq}, '{user}')",
        "mark": f"SELECT mark_at({seq}, '{instrument}')",
        "all balances": _recipe("The balances of all accounts", seq),
        "all positions": _recipe("All positions after", seq),
        "candles of an option": (
            f"SELECT * FROM candles WHERE resolution_s = 60 AND instrument_id = '{instrument}' "
            f"AND ts_us <= {names.ts_us} ORDER BY ts_us DESC LIMIT 200"
        ),
        "fills of a user": (
            f"SELECT * FROM fills WHERE user_id = '{user}' AND seq <= {seq} ORDER BY trade_id DESC LIMIT 50"
        ),
        "life of an order": f"SELECT * FROM order_history WHERE order_id = {names.order_id} ORDER BY seq, n",
    }
    for name, sql in queries.items():
        yield Question(f"{name} at {names.percent:g} %", sql=sql, sql_goal=MOMENT_SQL_SECONDS)


def present(names: Names) -> Iterator[Question]:
    """Yield the questions about the end that SQL must answer within MOMENT_SQL_SECONDS."""
    queries = {
        "positions of a user": f"SELECT * FROM positions WHERE user_id = '{names.user_id}'",
        "positions": "SELECT * FROM positions",
        "balances": "SELECT * FROM balances",
        "one order": f"SELECT * FROM orders WHERE order_id = {names.order_id}",
        "last trades": "SELECT * FROM trades ORDER BY seq DESC LIMIT 10",
    }
    for name, sql in queries.items():
        yield Question(name, sql=sql, sql_goal=MOMENT_SQL_SECONDS)


def _recipe(title: str, seq: int) -> str:
    """The query of the cookbook with this beginning of its title, at another command than the 100th."""
    (sql,) = (question.sql for question in cookbook() if question.name.startswith(f"cookbook: {title}"))
    return re.sub(r"\b100\b", str(seq), sql)


def views(names: Names) -> Iterator[Question]:
    """Yield a query for each column by which a documented view is filtered."""
    conditions = {
        "instrument_id": f"= '{names.instrument_id}'",
        "asset": f"= '{names.asset}'",
        "order_id": f"= {names.order_id}",
        "taker_order_id": f"= {names.order_id}",
    }
    for view, columns in FILTERS.items():
        yield Question(f"{view}", sql=f"SELECT * FROM {view} LIMIT {ROWS_MAX}", cpu_goal=COOKBOOK_CPU_SECONDS)
        for column in columns:
            if column.endswith("_us"):
                condition = f"BETWEEN {names.ts_us - TIME_WINDOW_US} AND {names.ts_us}"
            else:
                condition = conditions.get(column, f"= '{names.user_id}'")
            sql = f"SELECT * FROM {view} WHERE {column} {condition} LIMIT {ROWS_MAX}"
            yield Question(f"{view} by {column}", sql=sql, cpu_goal=COOKBOOK_CPU_SECONDS)


def cookbook() -> Iterator[Question]:
    """Yield the queries of the cookbook in docs/sql.md."""
    text = SQL_DOCUMENT.read_text(encoding="utf-8").partition("\n## Cookbook")[2]
    for title, sql in re.findall(r"\*\*([^*]+)\*\*(?:(?!```).)*```sql\n(.*?)```", text, re.DOTALL):
        name = " ".join(title.rstrip(".").split())
        yield Question(f"cookbook: {name}", sql=sql.strip().rstrip(";"), cpu_goal=COOKBOOK_CPU_SECONDS)
