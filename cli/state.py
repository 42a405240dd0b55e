"""`exchange state`: the state of the exchange now or at any moment."""

from collections import defaultdict
from pathlib import Path

import click

from exchange.amounts import cash, iso_time, price_decimals, usdc
from exchange.cli.account import print_account
from exchange.cli.ladder import TRADES_SHOWN, Ladder
from exchange.cli.options import INSTRUMENT, USER, db_option, json_option, refuse_given
from exchange.cli.order import print_orders
from exchange.cli.output import TextTable, add_rows, columns, print_json, print_tables, table
from exchange.cli.present import at_option, offline_option, present
from exchange.cli.questions import Present, Quote
from exchange.domain.rules import market_of
from exchange.gateway.limits import BOOK_DEPTH_MAX
from exchange.projections.wire_types import AccountSummary, Balance, Reopening
from exchange.times import Moment


@click.command()
@at_option
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
@click.option("--digest", "only_digest", is_flag=True, help="Show the SHA-256 digest of the state; it takes a replay.")
@offline_option
@db_option
@json_option
def state(
    moment: Moment,
    instrument_id: str | None,
    depth: int,
    account_of: str | None,
    orders_of: str | None,
    only_digest: bool,
    offline: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Show the state right after a command or at a time. Without options: a summary.

    Without --at it asks the running exchange. It reads the recorded data if none runs, and for a past moment.

    \b
    Examples:
      exchange state --at 5000
      exchange state --at 2026-02-20T09:00:00Z --book SOL_USDC-28FEB26-150-C
      exchange state --at 5000 --account alice --orders alice
    """
    if instrument_id is None:
        refuse_given(("--depth",), "--book")
    asks_part = bool(instrument_id or account_of or orders_of)
    # Only recorded data have a digest, or everything at one seq.
    is_recorded = only_digest or (as_json and not asks_part)
    users, needs_admin = (account_of, orders_of), not asks_part
    with present(path, offline or is_recorded, *users, needs_admin=needs_admin, moment=moment) as source:
        digest = _digest(path, source.head().seq) if only_digest else None
        book = None if instrument_id is None else source.book(instrument_id, depth, TRADES_SHOWN)
        account = None if account_of is None else source.account(account_of, 0).account
        orders = None if orders_of is None else source.open_orders(orders_of, None)
        if as_json:
            head = source.head()
            found: dict[str, object] = {"seq": head.seq, "ts_us": head.ts_us}
            if digest is not None:
                found["digest"] = digest
            if book is not None:
                found["book"] = {"instrument_id": instrument_id, "bids": book[0].bids, "asks": book[0].asks}
            if account is not None:
                found["account"] = account
            if orders is not None:
                found["orders"] = orders
            print_json(found if asks_part or only_digest else found | _whole(source))
            return
        if digest is not None:
            click.echo(columns((digest, 64), (source.as_of(), 0)))
        if book is not None:
            ladder = Ladder(book[0].instrument_id, source.instruments().get(book[0].instrument_id))
            ladder.show_book(book[0])
            ladder.show_trades(reversed(book[1]))
            print_tables(*ladder.draw())
        if account is not None:
            print_account(account, source.as_of(), instruments=source.instruments())
        if orders is not None and orders_of is not None:
            if account is not None:
                click.echo()
            print_orders(orders, orders_of, source.as_of(), source.instruments())
        if not (asks_part or only_digest):
            _print_summary(source)


def _digest(path: Path, seq: int) -> str:
    """The digest of the matcher's state after a command, computed from the nearest snapshot."""
    from exchange.cli.progress import ReplayBar
    from exchange.history.moment import engine_at

    with ReplayBar() as bar:
        return engine_at(path, Moment(seq), bar).digest()


def _whole(source: Present) -> dict[str, object]:
    """All accounts and all best prices, in the protocol's types."""
    seq, accounts, quotes = source.head().seq, source.accounts(), source.quotes(None, with_expired=True)
    return {
        "halted": source.is_halted(),
        "reopening": source.reopening(),
        "indexes": [{"asset": one.asset, "price": one.price_micros, "ts_us": one.ts_us} for one in source.indexes()],
        "accounts": [
            Balance(
                one.user_id,
                one.available_micros,
                one.locked_micros,
                one.maintenance_micros,
                one.shortfall_micros,
                seq,
            )
            for one in accounts
        ],
        "instruments": [
            {
                "instrument_id": quote.instrument.instrument_id,
                "state": quote.instrument.state,
                "best_bid": quote.bid_micros,
                "best_ask": quote.ask_micros,
                "mark": quote.mark_micros,
                "delivery_price": quote.instrument.delivery_price_micros,
            }
            for quote in quotes
        ],
        "open_orders": sum(account.open_orders for account in accounts),
    }


def _print_summary(source: Present) -> None:
    """Print a summary. Indexes and margins need a market."""
    head, accounts, quotes = source.head(), source.accounts(), source.quotes(None)
    has_market, expired_count = market_of(source.rules()) is not None, source.expired_count()
    about = table("state", "")
    add_rows(
        about,
        (
            ("after", f"seq {head.seq}, {iso_time(head.ts_us)}"),
            ("hash", head.hash),
            ("open orders", f"{sum(account.open_orders for account in accounts):,}"),
            *([("instruments", f"{len(quotes):,} live, {expired_count:,} expired")] if expired_count else []),
            *(
                (f"index of {index.asset}", f"{usdc(index.price_micros)} since {iso_time(index.ts_us)}")
                for index in source.indexes()
            ),
            *([("halted", "new orders are refused")] if source.is_halted() else []),
            *((f"reopening {one.asset}", _phase(one)) for one in source.reopening()),
        ),
    )
    print_tables(about, _accounts(accounts, has_market), _books(quotes, has_market))


def _phase(reopening: Reopening) -> str:
    if reopening.until_us is None:
        return "cancel-only until the next index price"
    return f"post-only until {iso_time(reopening.until_us)}"


def _accounts(accounts: list[AccountSummary], has_market: bool) -> TextTable:
    of_market = (">maintenance", ">shortfall") if has_market else ()
    names = ("account", ">available", ">locked", *of_market, ">open orders")
    shown = table(*names, optional=("shortfall", "maintenance"))
    rows = [
        (
            account,
            [account.available_micros, account.locked_micros]
            + ([account.maintenance_micros, account.shortfall_micros] if has_market else []),
        )
        for account in accounts
    ]
    decimals = price_decimals(amount for _, amounts in rows for amount in amounts)
    for account, amounts in rows:
        name = account.user_id + (" (suspended)" if account.suspended else "")
        add_rows(shown, [(name, *(cash(amount, decimals) for amount in amounts), str(account.open_orders))])
    return shown


def _books(quotes: list[Quote], has_market: bool) -> TextTable:
    of_market = (">mark",) if has_market else ()
    shown = table("instrument", ">bid", ">ask", ">last", *of_market, "state", optional=("state", "last"))
    marks: dict[str, list[int]] = defaultdict(list)
    for quote in quotes:
        marks[quote.instrument.asset] += [quote.instrument.tick_micros, quote.mark_micros or 0]
    decimals_of_marks = {asset: price_decimals(prices) for asset, prices in marks.items()}
    for quote in quotes:
        instrument, decimals = quote.instrument, price_decimals([quote.instrument.tick_micros])
        prices = [usdc(price, decimals) for price in (quote.bid_micros, quote.ask_micros, quote.last_micros)]
        prices += [usdc(quote.mark_micros, decimals_of_marks[instrument.asset])] if has_market else []
        add_rows(shown, [(instrument.instrument_id, *prices, instrument.state)])
    return shown
