"""Writes docs/cli.md: the help of every command, as click prints it. `make docs` runs it; a test compares."""

from collections.abc import Iterator
from typing import Any

import click

from exchange.cli.main import main

# Columns of the text: the page must not depend on the terminal.
_WIDTH = 100
_HEAD = """\
# The command line

The `--help` of every command. This page is generated: run `make docs`.
"""


def reference() -> str:
    """The text of docs/cli.md."""
    return _HEAD + "".join(f"\n## {name}\n\n```text\n{text}\n```\n" for name, text in _helps(main, "exchange", None))


def _helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    """The name and help of each visible command, a group before its commands."""
    settings: dict[str, Any] = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                yield from _helps(child, child_name, context)


if __name__ == "__main__":
    click.echo(reference(), nl=False)
