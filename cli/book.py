"""`exchange book`: a live order book in the terminal."""

import asyncio
import contextlib
from pathlib import Path

import click
import msgspec

from exchange.cli.client import AccountLogin, login_of, tls_of, url_of
from exchange.cli.ladder import TRADES_SHOWN, Ladder
from exchange.cli.options import INSTRUMENT, USER, db_option, json_option, key_file_option
from exchange.cli.output import is_terminal, print_json, print_tables, screen, table_lines
from exchange.cli.present import at_option, offline_option, present
from exchange.client import Subscription, connect
from exchange.client.messages import BookMessage, Message, OrdersMessage, TradesMessage
from exchange.gateway.limits import BOOK_DEPTH_MAX
from exchange.journal.lock import lock_owner
from exchange.times import Moment

# Pause between two drawings.
_DRAW_SECONDS = 0.1


@click.command()
@click.argument("instrument_id", metavar="INSTRUMENT", type=INSTRUMENT)
@click.option(
    "--depth", type=click.IntRange(1, BOOK_DEPTH_MAX), default=10, show_default=True, help="Number of prices per side."
)
@click.option(
    "--once", is_flag=True, help="Print the book once and exit. This is the default if output is not a terminal."
)
@click.option(
    "--user", "user_id", type=USER, envvar="EXCHANGE_USER", show_envvar=True, help="Mark the open orders of this user."
)
@key_file_option
@at_option
@offline_option
@db_option
@json_option
def book(
    instrument_id: str,
    depth: int,
    once: bool,
    user_id: str | None,
    moment: Moment,
    offline: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Watch an order book and its last trades until Ctrl-C.

    Asks the running exchange. If none runs, it prints the book of the recorded data once. The column `sum` adds up the
    sizes from the best price; the bars show it.

    \b
    Examples:
      exchange book SOL_USDC-28FEB26-150-C
      exchange book SOL_USDC-28FEB26-150-C --user alice
      exchange book SOL_USDC-28FEB26-150-C --json | jq '.bids[0]'
      exchange book SOL_USDC-28FEB26-150-C --at "2h ago"
    """
    with present(path, offline, moment=moment) as source:
        shown, trades = source.book(instrument_id, depth, TRADES_SHOWN)
        instrument = None if as_json else source.instruments().get(instrument_id)
        own = None if user_id is None else source.open_orders(user_id, instrument_id)
    if as_json:
        orders = {} if own is None else {"own_orders": own}
        print_json(msgspec.structs.asdict(shown) | {"trades": trades} | orders)
    elif once or offline or moment != Moment() or not is_terminal() or lock_owner(path) is None:
        ladder = Ladder(instrument_id, instrument)
        ladder.show_book(shown)
        ladder.show_trades(reversed(trades))
        if own is not None:
            ladder.show_orders(own)
        print_tables(*ladder.draw())
    else:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_show(path, Ladder(instrument_id, instrument), depth, user_id))


async def _show(path: Path, ladder: Ladder, depth: int, user_id: str | None) -> None:
    url = url_of(path)
    login: AccountLogin = {} if user_id is None else login_of(path, user_id)
    async with connect(url, reconnects=False, tls=tls_of(url, path), **login) as client:
        instrument_id = ladder.instrument_id
        channels = [f"book.{instrument_id}.{depth}", f"trades.{instrument_id}"]
        if user_id is not None:
            channels.append("user.orders")
        messages = await client.subscribe(*channels)
        if user_id is not None:
            ladder.show_orders(await client.get_open_orders(instrument_id))
        ladder.show_trades(reversed(await client.get_trades(instrument_id, TRADES_SHOWN)))
        while not ladder.seq:
            _take(ladder, await anext(messages))
        await _watch(ladder, messages)


async def _watch(ladder: Ladder, messages: Subscription) -> None:
    """Draw after each change, at most once per `_DRAW_SECONDS`."""
    from rich.live import Live
    from rich.text import Text

    def drawn() -> Text:
        lines = table_lines(*ladder.draw(terminal.height), width=terminal.width)
        return Text.from_ansi("\n".join(lines), no_wrap=True)

    terminal = screen()
    with Live(drawn(), console=terminal, auto_refresh=False) as live:
        async for message in messages:
            _take(ladder, message)
            while (more := messages.poll()) is not None:
                _take(ladder, more)
            live.update(drawn(), refresh=True)
            await asyncio.sleep(_DRAW_SECONDS)


def _take(ladder: Ladder, message: Message) -> None:
    match message:
        case BookMessage(data=book):
            ladder.show_book(book)
        case TradesMessage(data=trades):
            ladder.show_trades(trades)
        case OrdersMessage(data=orders):
            ladder.show_orders(orders)
        case _:
            pass
