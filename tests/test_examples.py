"""The programs in `examples`, as users run them. `.ci/clients` makes the environments of ccxt and of the notebook."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.testing import Venue

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
CCXT_PYTHON = os.environ.get("CCXT_PYTHON", "")
NOTEBOOK_PYTHON = os.environ.get("NOTEBOOK_PYTHON", "")


def run(python: str, name: str, *arguments: str) -> list[str]:
    """Run a program to its end, and return its lines."""
    command = [python, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def option(venue: Venue, option_type: str = "call", strike_usdc: int = 150) -> str:
    """The first option of SOL with this strike."""
    wanted = (option_type, strike_usdc * 1_000_000)
    return next(one.instrument_id for one in venue.instruments("SOL") if (one.option_type, one.strike_micros) == wanted)


def test_the_volatility_trader_buys_cheap_and_sells_dear_volatility() -> None:
    with Venue() as venue:
        # The mark has a volatility of 80 %.
        cheap, dear = option(venue), option(venue, "put")
        venue.quote(cheap, ask="2.20")
        venue.quote(dear, bid="2.70")
        lines = run(sys.executable, "volatility_trader.py", venue.url, "1")
        assert lines[:2] == [f"buy 1 {cheap} at 2.20", f"sell 1 {dear} at 2.70"]
        assert lines[2].startswith("profit ") and "vega" in lines[2]
        assert {one.instrument_id: one.quantity_milli for one in venue.account("volatility-trader").positions} == {
            cheap: 1_000,
            dear: -1_000,
        }


def test_the_market_maker_quotes_is_frozen_and_leaves_no_quote() -> None:
    async def trade(venue: Venue) -> list[str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLES / "market_maker.py"), venue.url, "2", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode().rstrip()]
        async with venue.client("alice") as alice:
            for instrument in await alice.get_instruments("SOL"):
                await alice.buy(instrument.instrument_id, 1_000, type="market")
                if not venue.open_orders("market-maker"):
                    break
        lines += (await process.stdout.read()).decode().splitlines()
        assert await process.wait() == 0
        return lines

    with Venue() as venue:
        lines = asyncio.run(trade(venue))
        assert lines[0].startswith("round 0: ") and lines[0].endswith(" 0 refused")
        assert lines[1] == "round 1: frozen by its fills"
        assert lines[-1].endswith(" quotes cancelled") and not venue.open_orders("market-maker")


@pytest.mark.skipif(not CCXT_PYTHON, reason="CCXT_PYTHON names no Python with ccxt; .ci/clients makes one")
def test_the_bot_of_ccxt_buys() -> None:
    with Venue() as venue:
        name = option(venue)
        venue.quote(name, bid="2.40", ask="2.41")
        key = venue.key("ccxt-bot")
        url = venue.http_url.removesuffix("/api/v2")
        lines = run(CCXT_PYTHON, "ccxt_bot.py", url, key.client_id, key.secret, "3")
        assert lines[0].startswith("bidding for SOL/USDC") and lines[-1] == "bought 1.0 at 2.41"
        assert venue.account("ccxt-bot").positions[0].instrument_id == name


@pytest.mark.skipif(not NOTEBOOK_PYTHON, reason="NOTEBOOK_PYTHON names no Python with nbclient; .ci/clients makes one")
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    code = (
        "import nbformat, nbclient; "
        f"book = nbformat.read({str(EXAMPLES / 'past.ipynb')!r}, 4); nbformat.validate(book); "
        "nbclient.NotebookClient(book, timeout=120).execute(); "
        f"nbformat.write(book, {str(tmp_path / 'done.ipynb')!r})"
    )
    done = subprocess.run([NOTEBOOK_PYTHON, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "done.ipynb").read_text(encoding="utf-8")
    assert "profit " in text and "<svg" in text
