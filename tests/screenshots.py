"""Write the pictures of the screen in docs/screen/: a venue with a crowd, of a fixed seed, as each page shows it.

Run it with `make screenshots`. It needs the built screen and Chromium.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from playwright.sync_api import Browser

from exchange.testing import Venue
from tests.cli_support import Server
from tests.screen_support import WHY_SKIPPED, admin_secret, browser, http, log_in, still

FOLDER = Path(__file__).parent.parent / "docs" / "screen"
HOURS = 1
WIDTH, HEIGHT = 1280, 1000


class Picture(NamedTuple):
    """A page, what is in its address besides the instrument, and the theme."""

    name: str
    page: str
    scheme: str
    seq_before_end: int | None = None


PICTURES = (
    Picture("trade", "/", "light"),
    Picture("trade-dark", "/", "dark"),
    Picture("past", "/", "light", 2_000),
    Picture("account", "/account", "light"),
    Picture("results", "/results", "light"),
    Picture("api", "/api", "light"),
)


def main() -> None:
    """Write all pictures."""
    if WHY_SKIPPED:
        sys.exit(WHY_SKIPPED)
    FOLDER.mkdir(exist_ok=True)
    with browser() as opened:
        with Venue(crowd=True) as venue:
            call = trade(venue)
            last = venue.call("public/get_head")["seq"]
            for picture in PICTURES:
                seq = "" if picture.seq_before_end is None else f"&seq={last - picture.seq_before_end}"
                address = f"{venue.url.replace('ws://', 'http://').rstrip('/')}{picture.page}#i={call}{seq}"
                take(opened, picture, address, "alice")
        # A venue has no follower, so that its history is always behind.
        with TemporaryDirectory() as folder, Server(Path(folder) / "exchange.db", "--demo") as server:
            take(
                opened, Picture("operate", "/operate", "dark"), f"{http(server)}/operate", "admin", admin_secret(server)
            )


def take(opened: Browser, picture: Picture, address: str, user_id: str, secret: str = "") -> None:
    """Write one picture."""
    viewport = {"width": WIDTH, "height": HEIGHT}
    with opened.new_context(viewport=viewport, color_scheme=picture.scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(address)
        log_in(page, user_id, secret)
        if picture.page == "/":
            page.get_by_role("tab", name="Positions").click()
        still(page)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=FOLDER / f"{picture.name}.png")
    sys.stdout.write(f"{picture.name}.png\n")


def trade(venue: Venue) -> str:
    """Let the crowd trade, and alice with it. Returns the option that she traded most."""
    venue.advance(60)
    index = venue.call("public/get_index_price", asset="SOL")["price"]
    listed = [one for one in venue.instruments("SOL") if one.option_type == "call"]
    later = sorted({one.expiration_s for one in listed})[2]
    call = min(
        (one for one in listed if one.expiration_s == later), key=lambda one: abs(one.strike_micros - index)
    ).instrument_id
    put = f"{call[:-1]}P"
    for step in range(HOURS * 12):
        side = "private/buy" if step % 3 else "private/sell"
        venue.call(side, "alice", instrument_id=call, amount=1_000 + 500 * (step % 4), type="market")
        if step % 4 == 0:
            venue.call("private/sell", "alice", instrument_id=put, amount=1_000, type="market")
        venue.advance(300)
    best = venue.call("public/get_ticker", instrument_id=call)["best_bid"]
    venue.call("private/buy", "alice", instrument_id=call, amount=2_000, price=best, label="swing")
    return call


if __name__ == "__main__":
    main()
