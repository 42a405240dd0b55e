"""A second name for a command, so that scripts with the old name keep working."""

import inspect

import click

from exchange.cli.options import AmountCommand


class Alias(AmountCommand):
    """Does what `command` does. Its help names `target`, the path of that command, and has the same examples."""

    def __init__(self, path: str, command: click.Command, target: str) -> None:
        purpose, mark, examples = inspect.cleandoc(command.help or "").partition("\n\n\b\n")
        first = purpose.partition(". ")[0].removesuffix(".")
        text = f"Alias of `exchange {target}`: {first[:1].lower()}{first[1:]}."
        text += mark + examples.replace(f"exchange {target}", f"exchange {path}")
        # A list of commands cuts a longer text at 80 columns.
        short = f"Alias of `exchange {target}`."
        super().__init__(
            path.split()[-1], callback=command.callback, params=command.params, help=text, short_help=short
        )
        self.target = target
