"""`exchange book`: a live ladder in the terminal."""

import contextlib
import time
from pathlib import Path

import click
from rich.live import Live

from cli.client import Client, Notification, client_of
from cli.ladder import TRADES_SHOWN, Ladder
from cli.options import INSTRUMENT, db_option, json_option
from cli.output import console, is_terminal, print_json
from exchange.gateway.limits import BOOK_DEPTH_MAX

_DRAW_SECONDS = 0.1  # between two drawings


@click.command()
@click.argument("instrument_id", metavar="INSTRUMENT", type=INSTRUMENT)
@click.option(
    "--depth", type=click.IntRange(1, BOOK_DEPTH_MAX), default=10, show_default=True, help="Prices on each side."
)
@click.option("--once", is_flag=True, help="Show it once and end; so it is also without a terminal.")
@db_option
@json_option
def book(instrument_id: str, depth: int, once: bool, path: Path, as_json: bool) -> None:
    """Watch an order book: asks above, bids below, and the last trades. Ctrl-C ends it.

    \b
    Examples:
      exchange book SOL_USDC-28FEB26-150-C
      exchange book SOL_USDC-28FEB26-150-C --json | jq '.bids[0]'
    """
    ladder = Ladder(instrument_id, depth)
    with contextlib.suppress(KeyboardInterrupt), client_of(path) as client:
        if as_json:
            shown = client.call("public/get_order_book", instrument_id=instrument_id, depth=depth)
            print_json(shown | {"trades": _last_trades(client, ladder)})
        elif once or not is_terminal():
            _subscribe(client, ladder)
            console().print(ladder.draw())
        else:
            _watch(client, ladder)


def _watch(client: Client, ladder: Ladder) -> None:
    _subscribe(client, ladder)
    drawn_at, is_changed = time.monotonic(), False
    screen = console()
    with Live(ladder.draw(screen.height), console=screen, auto_refresh=False) as live:
        for notification in client.notifications(_DRAW_SECONDS):
            if notification is not None:
                _take(client, ladder, notification)
                is_changed = True
            if is_changed and time.monotonic() - drawn_at >= _DRAW_SECONDS:
                live.update(ladder.draw(screen.height), refresh=True)
                drawn_at, is_changed = time.monotonic(), False


def _subscribe(client: Client, ladder: Ladder) -> None:
    """Subscribe, and have the first picture complete. The snapshot follows its answer, so it is here with the next."""
    client.call("public/subscribe", channels=[ladder.book_channel, ladder.trades_channel])
    ladder.on_trades(_last_trades(client, ladder)[::-1])
    for notification in client.notifications(_DRAW_SECONDS):
        if notification is not None:
            _take(client, ladder, notification)
        if ladder.seq:
            return


def _take(client: Client, ladder: Ladder, notification: Notification) -> None:
    if notification.channel == ladder.trades_channel:
        ladder.on_trades(notification.data)
    elif not ladder.on_book(notification.data):
        client.call("public/subscribe", channels=[ladder.book_channel])


def _last_trades(client: Client, ladder: Ladder) -> list[dict[str, object]]:
    """Newest first."""
    trades: list[dict[str, object]] = client.call(
        "public/get_trades", instrument_id=ladder.instrument_id, count=TRADES_SHOWN
    )
    return trades
