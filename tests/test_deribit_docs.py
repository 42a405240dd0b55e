"""The page about clients of Deribit: its table names every method, and its plain script runs as printed."""

import asyncio
import re
import sys
from pathlib import Path

from exchange.gateway.deribit.methods import deribit_methods
from exchange.gateway.deribit.not_offered import GROUPS
from exchange.gateway.methods import METHODS
from tests.wire import exchange

PAGE = (Path(__file__).parent.parent / "docs" / "deribit.md").read_text(encoding="utf-8")


def example(heading: str) -> str:
    """The program under a heading of the page."""
    found = re.search(rf"## {heading}\n\n```[a-z]+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, heading
    return found[1]


def test_the_page_names_every_method() -> None:
    table = [line for line in PAGE.splitlines() if line.startswith("| `")]
    rows = {name: line for line in table for name in re.findall(r"`((?:public|private)/[a-z_/]+)`", line)}
    methods = deribit_methods(METHODS)
    assert sorted(rows) == sorted(methods)
    for why, names in GROUPS.values():
        assert all(rows[name].endswith(f"| {why} |") for name in names), why
    offered = [name for name in methods if not any(name in names for _, names in GROUPS.values())]
    assert all("| same |" in rows[name] or "| differs |" in rows[name] for name in offered)


def test_the_plain_script_runs_as_printed(tmp_path: Path) -> None:
    async def run() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            port = server.url.rstrip("/").rsplit(":", 1)[1]
            code = example("A plain script").replace("8765", port)
            script = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
            output, _ = await script.communicate()
            assert output.decode() == "open [[2.5, 1.0]]\n"

    asyncio.run(run())
