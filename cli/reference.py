"""Writes docs/cli.md: every command's help, as click prints it. `make docs` runs it, and a test compares."""

from collections.abc import Iterator
from typing import Any

import click

from exchange.cli.main import main

_WIDTH = 100  # columns of the text, whatever the terminal has
_HEAD = """\
# The command line

Every command's `--help`, in one page. Written by `make docs`.
"""


def reference() -> str:
    """The whole page."""
    return _HEAD + "".join(f"\n## {name}\n\n```text\n{text}\n```\n" for name, text in _helps(main, "exchange", None))


def _helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    """Each command under its full name, groups before what is in them. Hidden ones are left out."""
    settings: dict[str, Any] = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child_name, child in sorted(command.commands.items()):
            if not child.hidden:
                yield from _helps(child, child_name, context)


if __name__ == "__main__":
    click.echo(reference(), nl=False)
