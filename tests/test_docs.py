"""The documentation is correct: its queries run, its commands exist, and the exchange accepts its JSON."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml
from click.testing import CliRunner
from websockets.asyncio.client import connect

from exchange.cli.main import main as cli
from exchange.cli.reference import reference
from exchange.client import connect as connect_client
from exchange.client.messages import BookMessage
from exchange.domain.enums import CancelReason
from exchange.gateway.channel_document import CHANNEL_KINDS
from exchange.gateway.chaos import ChaosPlan
from exchange.gateway.error_kinds import ERROR_KINDS
from exchange.gateway.limits import GatewayLimits
from exchange.gateway.methods import METHODS
from exchange.history.sql import SqlSession
from exchange.history_db.descriptions import descriptions
from exchange.history_db.file import history_path
from exchange.history_db.update import update_history
from exchange.runtime.chaos_settings import read_chaos
from exchange.runtime.limit_settings import read_limits
from exchange.runtime.rule_settings import read_rules
from exchange.runtime.server_settings import DEFAULT_RULES
from tests.cli_support import Server, environment, exchange, said
from tests.journals import play
from tests.market_story import write_story
from tests.sql_reference import history_columns
from tests.test_demo import demo
from tests.test_recovery import INSTRUMENT, server

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")])


def blocks(language: str) -> list[tuple[str, str]]:
    """Every fenced block in a language, as (page, text)."""
    fence = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [(page.name, text) for page in PAGES for text in fence.findall(page.read_text(encoding="utf-8"))]


def shell_lines(start: str) -> list[tuple[str, str]]:
    """The lines of shell blocks that begin with `start`, as (page, line)."""
    return [(page, line) for page, text in blocks("sh") for line in text.splitlines() if line.startswith(start)]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "exchange.db"
    play(path, seed=2, count=3_000)
    return path


@pytest.fixture(scope="module")
def journals(journal: Path) -> list[Path]:
    """`journal`, and two journals with a market: one with open positions, one after settlement."""
    markets = [journal.with_name("open.db"), journal.with_name("settled.db")]
    for path, last_seq in zip(markets, (37, None), strict=True):
        write_story(path, last_seq)
    return [journal, *markets]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "query"), blocks("sql"))
def test_every_query_runs_and_finds_rows(journals: list[Path], page: str, query: str) -> None:
    """It runs in `exchange sql`. Without functions of `exchange sql`, plain SQLite gives the same rows."""
    found = []
    for journal in journals:
        with SqlSession(journal) as session:
            found.append(list(session.rows(session.run(query))))
        if not re.search(r"\b(book_at|balance_at|mark_at|usd|iso)\(", query):
            history = history_path(journal)
            with closing(sqlite3.connect(f"{history.as_uri()}?mode=ro", uri=True)) as connection:
                assert connection.execute(query).fetchall() == found[-1]
    assert any(found)


def test_every_view_table_and_column_of_the_history_is_described() -> None:
    known, columns = descriptions(), history_columns()
    relations = known.views | known.tables
    assert set(relations) == set(columns)
    for name, relation in relations.items():
        assert set(relation.columns) <= set(columns[name]), name
        assert all(known.meaning(relation, column) for column in columns[name]), name
    used = {column for listed in columns.values() for column in listed}
    assert set(known.columns) <= used
    assert {column for named in known.plain_units.values() for column in named.split()} <= used


def test_datasette_reads_its_configuration(journal: Path) -> None:
    update_history(journal, lambda sentence: None, lambda done, total: None)
    printed = CliRunner().invoke(cli, ["history", "datasette", "--db", str(journal)])
    tables = yaml.safe_load(printed.stdout)["databases"]["exchange.history"]["tables"]
    assert {name: list(table["columns"]) for name, table in tables.items()} == history_columns()
    assert tables["trades"]["columns"]["price_micros"].endswith("(micros of USDC)")
    assert tables["trades"]["columns"]["price"].endswith("(USDC)")


@pytest.mark.parametrize(("page", "line"), shell_lines("exchange "))
def test_every_exchange_command_is_valid(page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse the command line without running it. The files that it names exist."""
    monkeypatch.chdir(tmp_path)
    for name in ("data", "my_checks"):
        Path(name).mkdir()
    for name in ("data/exchange.db", "what_then.db", "digests.jsonl.gz", "prices.csv", "rules.toml"):
        Path(name).touch()
    command: click.Command = cli
    context = click.Context(cli, info_name="exchange", **cli.context_settings)
    words = shlex.split(line.partition(" > ")[0].replace("$OPTION", INSTRUMENT), comments=True)[1:]
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name!r}"
        command = found
        context = click.Context(command, parent=context, info_name=name)
    command.make_context(command.name or "", words, parent=context.parent)


def test_the_page_of_commands_is_up_to_date() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == reference(), "docs/cli.md is out of date: run `make docs`"


@pytest.mark.parametrize(("page", "line"), shell_lines('sqlite3 data/exchange.history.db "SELECT'))
def test_every_sqlite3_line_runs(journal: Path, page: str, line: str) -> None:
    update_history(journal, lambda sentence: None, lambda done, total: None)
    connection = sqlite3.connect(f"{history_path(journal).as_uri()}?mode=ro", uri=True)
    try:
        assert connection.execute(shlex.split(line)[2]).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_every_file_of_rules_or_limits_is_valid(page: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    if "connections" in text:
        assert read_limits(file) != GatewayLimits()
        return
    if "latency_ms" in text:
        assert read_chaos(file) != ChaosPlan()
        return
    assert read_rules(file).market != DEFAULT_RULES.market


def shell_lines_of_readme(section: str) -> list[str]:
    """The lines of the shell blocks in one section of README.md."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


@pytest.mark.slow
def test_the_start_of_the_readme_runs_as_printed(tmp_path: Path) -> None:
    """Run its lines in a shell when the demo market, which `make run` starts, has quotes."""
    path = tmp_path / "exchange.db"
    lines = shell_lines_of_readme("Start")
    script = "\n".join(["set -e", *lines[lines.index("source .venv/bin/activate") + 1 :]])
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    async def run() -> None:
        async with demo(path) as (_, url, _), connect_client(url, "reader") as client:
            option = (await client.get_instruments("SOL"))[0].instrument_id
            async for message in await client.subscribe(f"book.{option}.1"):
                if isinstance(message, BookMessage) and message.data.best_ask:
                    break
            shell = await asyncio.create_subprocess_exec(
                *("bash", "-c", script),
                env=environment() | {"EXCHANGE_DB": str(path), "PATH": programs},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            output, errors = await shell.communicate()
            assert (shell.returncode, errors) == (0, b"")
            assert f"buy 1.0 {option} at market, filled 1.0 at" in output.decode()
            assert f"sell 0.4 {option} @ 26.00" in output.decode()

    asyncio.run(run())


@pytest.mark.slow
def test_the_market_of_the_readme_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run its commands in order. Before each `serve`, stop the running exchange, as the page tells the reader."""
    lines = shell_lines_of_readme("Run a market")
    path, output = tmp_path / "market.db", ""
    with ExitStack() as running:
        for line in lines:
            words = shlex.split(line.replace("data/market.db", str(path)), comments=True)
            if words[0] == "export":
                monkeypatch.setenv(*words[1].split("=", 1))
            elif words[0] == "unset":
                monkeypatch.delenv(words[1])
            elif words[1] == "serve":
                running.close()
                running.enter_context(Server(path, *words[words.index("--clock-start") :]))
            else:
                output += said(exchange(*words[1:]))
    assert len(lines) == 16 and re.search(r"SOL +28FEB26 +152\.00 +settled", output)


def program(page: str) -> str:
    """The only Python program on a page."""
    (code,) = [text for name, text in blocks("python") if name == page]
    return code


@contextlib.asynccontextmanager
async def running(page: str, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the program on a page; only the address is changed."""
    code = program(page).replace("ws://127.0.0.1:8765/", url)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        await process.communicate()


@pytest.mark.slow
def test_the_bot_of_the_readme_runs_as_printed(tmp_path: Path) -> None:
    """A rival outbids the bot, the bot bids more, and the rival sells to it."""

    async def run() -> None:
        async with server(tmp_path / "exchange.db") as (_, url), connect_client(url, "rival") as rival:
            name, tick = (option := (await rival.get_instruments("SOL"))[0]).instrument_id, option.tick_micros
            lowest = (await rival.get_ticker(name)).min_price_micros or tick
            outbid = lowest + 100 * tick
            await rival.buy(name, 1_000, outbid)
            watched = await rival.subscribe(f"book.{name}.5")
            async with running("README.md", url) as bot:
                async for message in watched:
                    if isinstance(message, BookMessage) and message.data.bids[0].price_micros > outbid:
                        break
                await rival.sell(name, 1_000, outbid + tick)
                assert bot.stdout is not None
                output = (await bot.stdout.read()).decode()
            assert (bot.returncode, output) == (0, f"bidding for {name}\nbought 1000 at {outbid + tick}\n")

    asyncio.run(run())


@pytest.mark.slow
def test_the_program_about_the_client_runs_as_printed(tmp_path: Path) -> None:
    async def run() -> None:
        async with server(tmp_path / "exchange.db") as (_, url), running("client.md", url) as reader:
            assert reader.stdout is not None
            output = (await reader.stdout.read()).decode()
        assert (reader.returncode, output) == (0, "1006 size_below_minimum\nopen True\ncancelled False\n")

    asyncio.run(run())


@pytest.mark.slow
def test_the_bot_that_asks_for_everything_runs_as_printed(tmp_path: Path) -> None:
    async def run() -> None:
        async with server(tmp_path / "exchange.db") as (_, url):
            code = program("bots.md").replace("ws://127.0.0.1:8765/", url)
            bot = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
            lines = (await bot.communicate())[0].decode().splitlines()
        assert bot.returncode == 0
        assert lines[0] == "candles [1000]"
        assert lines[1].startswith("tickers ['SOL_USDC-") and INSTRUMENT in lines[1]
        assert lines[2] == "simulated [-3000, -2000]"
        assert lines[3].startswith("volatility ") and lines[3].endswith(" []")
        assert lines[4].startswith("day 1000 ")
        assert lines[5] == "past ['trade', 'opening'] ['ask']"

    asyncio.run(run())


def test_the_page_about_tests_shows_the_examples() -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    for file in (ROOT / "examples" / "testing").glob("*.py"):
        assert f"```python\n{file.read_text(encoding='utf-8')}```" in page, f"the page has another {file.name}"


@pytest.mark.slow
def test_the_bot_of_the_page_about_tests_passes_its_tests() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "exchange.testing.plugin",
        "-c",
        os.devnull,
        "--rootdir",
        ".",
    ]
    run = subprocess.run(command, cwd=ROOT / "examples" / "testing", capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and "5 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.slow
def test_the_venue_of_the_page_about_tests_runs_as_printed() -> None:
    code = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8").rpartition("```python\n")[2].partition("```")[0]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and run.stdout.splitlines()[-1] == "trades True", run.stdout + run.stderr


async def place_order(url: str) -> int:
    """Place an order of the user that the program on the protocol page follows, and return its seq."""
    async with connect_client(url, "follower") as client:
        return (await client.buy(INSTRUMENT, 1_000, 10_000)).seq


@pytest.mark.slow
def test_the_follower_of_the_protocol_page_misses_nothing(tmp_path: Path) -> None:
    """It prints commands from before its start, while it is connected, and while it is disconnected."""
    path = tmp_path / "exchange.db"
    fast_reconnects = os.environ | {"WEBSOCKETS_BACKOFF_INITIAL_DELAY": "0.1", "WEBSOCKETS_BACKOFF_MIN_DELAY": "0.1"}

    async def run() -> None:
        async with server(path) as (_, url):
            code = program("protocol.md").replace("ws://127.0.0.1:8765/", url)
            seqs = [await place_order(url)]
            follower = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env=fast_reconnects
            )
            assert follower.stdout is not None
            lines = [await follower.stdout.readline() for _ in range(3)]
            seqs.append(await place_order(url))
            lines += [await follower.stdout.readline() for _ in range(2)]
        port = url.rstrip("/").rpartition(":")[2]
        async with server(path, "--port", port):
            seqs += [await place_order(url) for _ in range(5)]
            lines += [await follower.stdout.readline() for _ in range(10)]
            follower.kill()
            await follower.communicate()
        # The opening of the account, with its starting cash, comes first.
        expected = [f"user.balance {seqs[0] - 1}"]
        expected += [f"{channel} {seq}" for seq in seqs for channel in ("user.orders", "user.balance")]
        assert [line.decode().strip() for line in lines] == expected

    asyncio.run(run())


@pytest.mark.slow
def test_the_messages_of_the_readme_are_answered_without_an_error(tmp_path: Path) -> None:
    (text,) = [text for page, text in blocks("json") if page == "README.md"]

    async def run() -> list[str]:
        async with server(tmp_path / "exchange.db") as (_, url), connect(url) as socket:
            answers = []
            for line in text.splitlines():
                await socket.send(line)
                while "id" not in (answer := json.loads(await socket.recv())):
                    pass
                answers.append(answer)
            return [str(answer.get("error")) for answer in answers]

    assert asyncio.run(run()) == ["None"] * 4


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {line.split()[1] for _, line in shell_lines("make ")}
    assert targets and all(f"\n{target}:" in makefile for target in targets)


def test_the_protocol_page_explains_every_code_and_channel() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    kinds = set(ERROR_KINDS.values())
    assert [kind.code for kind in kinds if f"| {kind.code} | {kind.message} |" not in text] == []
    assert set(re.findall(r"`((?:public|private|admin)/\w+)`", text)) <= set(METHODS)
    assert [kind.address for kind in CHANNEL_KINDS.values() if f"\n| `{kind.address}`" not in text] == []
    assert [reason for reason in get_args(CancelReason) if f"\n| `{reason}` |" not in text] == []


def test_links_have_targets() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
