"""A command is found from its name: its module follows from its path, as the docstring of `exchange.cli` says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import exchange.cli
from exchange.cli.alias import Alias
from exchange.cli.main import main
from exchange.cli.sections import SECTIONS
from tests.cli_support import exchange as exchange_command

MODULES = {file.stem for file in (Path(__file__).parents[1] / "cli").glob("*.py")} - {"__init__"}
HELPERS = set(re.findall(r"^- (\w+)\.py ", exchange.cli.__doc__ or "", re.MULTILINE))


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group below `group`, with its path as it is typed."""
    context = click.Context(group, **group.context_settings)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


COMMANDS = dict(commands(main))


def home(path: tuple[str, ...]) -> str:
    """The module of the longest part of the path that has one: `journal_bisect`, or else `journal`."""
    names = ("_".join(path[:length]).replace("-", "_") for length in range(len(path), 0, -1))
    return next(name for name in names if name in MODULES - HELPERS)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_is_in_the_module_that_its_path_names(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    written_as = tuple(command.target.split()) if isinstance(command, Alias) else path
    assert command.callback is not None
    assert command.callback.__module__ == f"exchange.cli.{home(written_as)}"


def test_every_module_holds_a_command_or_is_listed_as_a_helper() -> None:
    assert {home(path) for path in COMMANDS} == MODULES - HELPERS
    assert HELPERS <= MODULES


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_list_of_commands_shows_a_whole_sentence_at_80_columns(path: tuple[str, ...]) -> None:
    siblings = [other[-1] for other in COMMANDS if other[:-1] == path[:-1]]
    width = 80 - 6 - max(map(len, siblings))
    if not isinstance(COMMANDS[path], Alias):
        assert not COMMANDS[path].get_short_help_str(width).endswith("...")


def test_the_help_lists_every_command_in_one_section() -> None:
    placed = [name for section in SECTIONS.values() for name in section]
    assert len(placed) == len(set(placed))
    assert {path[0] for path in COMMANDS} <= set(placed), "add it to exchange.cli.sections"
    text = CliRunner().invoke(main, ["--help"], terminal_width=80).stdout
    assert max(map(len, text.splitlines())) <= 80 and "..." not in text.partition("Options:")[2]
    for section in SECTIONS.values():
        for name, sentence in section.items():
            assert COMMANDS[name,].get_short_help_str(200) == sentence, "write it in exchange.cli.sections, too"
            assert re.search(rf"^  {name} +{re.escape(sentence)}$", text, re.MULTILINE), name


def test_an_alias_takes_what_its_target_takes_and_names_it() -> None:
    aliases = {path: command for path, command in COMMANDS.items() if isinstance(command, Alias)}
    assert set(aliases) == {("account", "deposit"), ("account", "withdraw"), ("instrument", "create")}
    for alias in aliases.values():
        target = COMMANDS[tuple(alias.target.split())]
        assert (alias.callback, alias.params) == (target.callback, target.params)
        assert alias.get_short_help_str(200).startswith(f"Alias of `exchange {alias.target}`")


# The modules that every command imports.
NEEDED_BY_ALL = {f"exchange.cli{name}" for name in ("", ".lazy", ".main", ".sections")} | {
    "exchange.compiled",
    "exchange.file_modes",
}


def imported_after(statement: str) -> set[str]:
    """The modules that a new interpreter has imported after `statement`."""
    code = f"import sys, exchange.cli.main as m; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


def test_the_version_imports_click_and_no_other_library() -> None:
    loaded = imported_after("m.main(['--version'], standalone_mode=False)")
    ours = {name for name in loaded if name.partition(".")[0] == "exchange"}
    assert ours == {"exchange"} | NEEDED_BY_ALL
    assert not loaded & {"asyncio", "msgspec", "rich", "websockets", "sqlite3", "aiosqlite", "logging"}


def test_the_list_of_commands_imports_none_of_them() -> None:
    loaded = imported_after("m.main(['--help'], standalone_mode=False)")
    ours = {name for name in loaded if name.startswith("exchange.")}
    assert ours == NEEDED_BY_ALL


def test_a_command_imports_no_other_command() -> None:
    loaded = imported_after("m.main.child('journal').child('tail')")
    ours = {name.removeprefix("exchange.cli.") for name in loaded if name.startswith("exchange.cli.")}
    assert ours - HELPERS == {"journal", "journal_tail"}


def test_a_mistyped_command_is_answered_with_similar_names() -> None:
    assert "'ticker'" in exchange_command("tickr").stderr
