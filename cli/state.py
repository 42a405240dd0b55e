"""`exchange state`: the state of the exchange at any moment."""

from pathlib import Path

import click

from exchange.amounts import cash, iso_time, price_decimals, usdc
from exchange.cli.account import print_account
from exchange.cli.current_views import as_of, require_instrument, require_user
from exchange.cli.ladder import Ladder
from exchange.cli.options import INSTRUMENT, MOMENT, USER, db_option, json_option, refuse_given
from exchange.cli.order import print_orders
from exchange.cli.output import TextTable, add_rows, columns, print_json, print_tables, table
from exchange.cli.progress import ReplayBar
from exchange.domain.rules import market_of
from exchange.gateway.limits import BOOK_DEPTH_MAX
from exchange.history.moment import Moment, engine_at, seq_at
from exchange.history_db.past_views import PastViews
from exchange.history_db.update import open_current_history
from exchange.journal.opening import open_journal_reader
from exchange.projections.views import Views
from exchange.projections.wire_types import Instrument


@click.command()
@click.option(
    "--at",
    "moment",
    type=MOMENT,
    default=Moment(),
    metavar="SEQ|TIME",
    help="Sequence number or time (docs/operations.md, Times).  [default: now]",
)
@click.option("--book", "instrument_id", type=INSTRUMENT, help="Show the order book of this instrument.")
@click.option(
    "--depth",
    type=click.IntRange(1, BOOK_DEPTH_MAX),
    default=10,
    show_default=True,
    help="With --book: number of prices per side.",
)
@click.option("--account", "account_of", type=USER, help="Show balance and positions of this user.")
@click.option("--orders", "orders_of", type=USER, help="Show open orders of this user.")
@click.option(
    "--digest", "only_digest", is_flag=True, help="Show the SHA-256 digest of the state, which takes a replay."
)
@db_option
@json_option
def state(
    moment: Moment,
    instrument_id: str | None,
    depth: int,
    account_of: str | None,
    orders_of: str | None,
    only_digest: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Show the state right after a command or at a time. Without options: a summary.

    \b
    Examples:
      exchange state --at 5000
      exchange state --at 2026-02-20T09:00:00Z --book SOL_USDC-28FEB26-150-C
      exchange state --at 5000 --account alice --orders alice
    """
    if instrument_id is None:
        refuse_given(("--depth",), "--book")
    views = _past_views(path, moment)
    if instrument_id is not None:
        require_instrument(views, instrument_id, path)
    for user_id in (account_of, orders_of):
        if user_id is not None:
            require_user(views, user_id, path)
    digest = _digest(path, views.seq) if only_digest else None
    if as_json:
        print_json(_as_json(views, digest, instrument_id, depth, account_of, orders_of))
        return
    if digest is not None:
        click.echo(columns((digest, 64), (as_of(views), 0)))
    if instrument_id is not None:
        print_tables(*_ladder(views, instrument_id, depth).draw())
    if account_of is not None:
        print_account(views.account(account_of), as_of(views), instruments=views.instruments)
    if orders_of is not None:
        if account_of is not None:
            click.echo()
        print_orders(views.orders.open_orders(orders_of), orders_of, as_of(views), views.instruments)
    if not (only_digest or instrument_id or account_of or orders_of):
        _print_summary(views)


def _past_views(path: Path, moment: Moment) -> PastViews:
    """The views at a moment, read from the history."""
    with open_journal_reader(path) as reader:
        seq = seq_at(reader, moment)
    with ReplayBar("writing the history") as bar:
        history = open_current_history(path, lambda sentence: click.echo(sentence, err=True), bar)
    return PastViews(history, seq)


def _digest(path: Path, seq: int) -> str:
    """The digest of the matcher's state after a command, which only a replay gives."""
    with ReplayBar() as bar:
        return engine_at(path, Moment(seq), bar).digest()


def _as_json(
    views: PastViews,
    digest: str | None,
    instrument_id: str | None,
    depth: int,
    account_of: str | None,
    orders_of: str | None,
) -> dict[str, object]:
    """The state in the protocol's types. Without options: all accounts and all best prices."""
    found: dict[str, object] = {"seq": views.seq, "ts_us": views.ts_us}
    if digest is not None:
        found["digest"] = digest
    if instrument_id is not None:
        book = views.depths[instrument_id]
        found["book"] = {"instrument_id": instrument_id, "bids": book.bids(depth), "asks": book.asks(depth)}
    if account_of is not None:
        found["account"] = views.account(account_of)
    if orders_of is not None:
        found["orders"] = views.orders.open_orders(orders_of)
    if len(found) == 2:
        found["halted"] = views.is_halted
        found["indexes"] = [
            {"asset": asset, "price": index.price_micros, "ts_us": index.ts_us}
            for asset, index in views.indexes.items()
        ]
        found["accounts"] = [views.balance(user_id) for user_id in views.balances.users]
        found["instruments"] = [_instrument(views, instrument) for instrument in views.instruments.values()]
        found["open_orders"] = len(views.open_orders())
    return found


def _instrument(views: PastViews, instrument: Instrument) -> dict[str, object]:
    bid, ask = views.depths[instrument.instrument_id].best()
    return {
        "instrument_id": instrument.instrument_id,
        "state": instrument.state,
        "best_bid": bid,
        "best_ask": ask,
        "mark": views.marks.get(instrument.instrument_id),
        "delivery_price": instrument.delivery_price_micros,
    }


def _ladder(views: Views, instrument_id: str, depth: int) -> Ladder:
    ladder = Ladder(instrument_id)
    ladder.show_past(views, depth)
    return ladder


def _print_summary(views: PastViews) -> None:
    """Print a summary. Expired instruments are only counted; indexes and margins need a market."""
    live = views.live_instruments()
    expired = len(views.instruments) - len(live)
    about = table("state", "")
    add_rows(
        about,
        (
            ("after", f"seq {views.seq}, {iso_time(views.ts_us)}"),
            ("hash", views.journal_hash.hex()),
            ("open orders", f"{len(views.open_orders()):,}"),
            *([("instruments", f"{len(live):,} live, {expired:,} expired")] if expired else []),
            *(
                (f"index of {asset}", f"{usdc(index.price_micros)} since {iso_time(index.ts_us)}")
                for asset, index in views.indexes.items()
            ),
            *([("halted", "new orders are refused")] if views.is_halted else []),
        ),
    )
    print_tables(about, _accounts(views), _books(views, live))


def _accounts(views: PastViews) -> TextTable:
    of_market = (">maintenance", ">shortfall") if market_of(views.rules) is not None else ()
    names = ("account", ">available", ">locked", *of_market, ">open orders")
    accounts = table(*names, optional=("shortfall", "maintenance"))
    for user_id in views.balances.users:
        account = views.balances.users[user_id]
        cells = [user_id + (" (suspended)" if account.suspended else "")]
        amounts = [account.cash_micros - account.locked_micros, account.locked_micros]
        if of_market:
            amounts += [account.maintenance_micros, account.shortfall_micros]
        add_rows(accounts, [(*cells, *map(cash, amounts), str(len(views.open_orders(user_id))))])
    return accounts


def _books(views: PastViews, live: list[Instrument]) -> TextTable:
    of_market = (">mark",) if market_of(views.rules) is not None else ()
    books = table("instrument", ">bid", ">ask", ">last", *of_market, "state", optional=("state", "last"))
    for instrument in live:
        name = instrument.instrument_id
        prices = [*views.depths[name].best(), views.tape.last_price_micros(name)]
        prices += [views.marks.get(name)] if of_market else []
        decimals = price_decimals([instrument.tick_micros])
        add_rows(books, [(name, *(usdc(price, decimals) for price in prices), instrument.state)])
    return books
