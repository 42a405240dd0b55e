"""The command `exchange`: puts all commands together and turns exceptions into error messages."""

import keyword
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Any

import click

from exchange import __version__
from exchange.cli.lazy import LazyGroup
from exchange.cli.sections import SectionedGroup
from exchange.file_modes import FILE_MODES
from exchange.file_modes import file_mode as new_file_mode

_WANTS_JSON = "exchange.wants_json"


class _ReportingGroup(SectionedGroup):
    """Reports a failure in one message: exit code 1 for a failed command, 2 for a wrong command line or input file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = args[: args.index("--")] if "--" in args else args
        is_json_log = ("--log-format", "json") in pairwise(options) or "--log-format=json" in options
        ctx.meta[_WANTS_JSON] = "--json" in options or is_json_log
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            # Only a failure imports the classes of all exceptions.
            from exchange.cli.failures import report

            report(error, ctx.meta[_WANTS_JSON])


@click.group(cls=_ReportingGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="exchange")
@click.option(
    "--file-mode",
    type=click.Choice(list(FILE_MODES)),
    default="0600",
    show_default=True,
    envvar="EXCHANGE_FILE_MODE",
    show_envvar=True,
    help="Mode of new files. Those with secrets always get 0600.",
)
@click.pass_context
def main(ctx: click.Context, file_mode: str) -> None:
    """Run and inspect an options exchange that records every command in an SQLite journal.

    \b
    Begin with:
      exchange demo                       start an exchange with a live market
      exchange instrument list            list instruments (in another terminal)
      exchange order buy --help           learn how to trade

    Commands take and print prices in USDC (1.50) and sizes in contracts (0.5). --json prints the protocol's integers:
    micros and millicontracts.
    """
    ctx.with_resource(new_file_mode(FILE_MODES[file_mode]))


_TOP_LEVEL = (
    *("init", "serve", "demo", "top", "bot", "simulate", "admin", "follow", "snapshot", "archive", "recovery-plan"),
    "version",
    *("instrument", "index", "ticker", "candles", "book", "watch", "order", "mmp", "account", "settlements"),
    *("journal", "history", "sessions", "replay", "state", "explain", "what-if", "diff", "fork", "sql", "chart"),
)
# The commands of a group that are in modules of their own.
_OF_GROUPS = {
    "journal": (
        *("tail", "info", "verify", "repair", "checkpoint", "prove", "check", "rebuild", "shed-events", "compact"),
        *("export", "import", "backup", "digests", "bisect"),
    ),
    "account": ("log", "simulate", "secret", "secrets", "revoke"),
    "admin": ("create-instrument", "limits", "rules"),
    "history": ("rebuild", "export", "datasette"),
    "index": ("feed", "volatility"),
    "order": ("edit", "show"),
}
_ALIASES = {
    "account deposit": "admin deposit",
    "account withdraw": "admin withdraw",
    "instrument create": "admin create-instrument",
}


def _load(path: str) -> click.Command:
    """Import the command at `path`. Its module is named by the path, and its function by the last word."""
    if path in _ALIASES:
        from exchange.cli.alias import Alias

        group, _, name = _ALIASES[path].partition(" ")
        of_target = main.child(group)
        assert isinstance(of_target, LazyGroup)
        return Alias(path, of_target.child(name), _ALIASES[path])
    module = import_module(f"exchange.cli.{path.replace(' ', '_').replace('-', '_')}")
    name = path.rpartition(" ")[2].replace("-", "_")
    command: click.Command = getattr(module, f"{name}_" if keyword.iskeyword(name) else name)
    if isinstance(command, LazyGroup):
        aliases = (alias.rpartition(" ")[2] for alias in _ALIASES if alias.startswith(f"{path} "))
        for child in (*_OF_GROUPS.get(path, ()), *aliases):
            command.add_lazily(child, partial(_load, f"{path} {child}"))
    return command


for _name in _TOP_LEVEL:
    main.add_lazily(_name, partial(_load, _name))

if __name__ == "__main__":
    main()
