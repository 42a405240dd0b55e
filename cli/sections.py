"""The list of commands in sections, as `exchange --help` shows it."""

import click

from exchange.cli.lazy import LazyGroup

# Each command is in one section; a command without a section is shown last.
SECTIONS = {
    "Trade": ("order", "account", "bot"),
    "Market": ("instrument", "ticker", "book", "index", "settlements", "admin"),
    "History": (
        *("sql", "state", "history", "explain", "replay", "what-if", "diff", "fork", "chart", "sessions", "journal"),
    ),
    "Run": ("demo", "serve", "init", "simulate", "follow", "snapshot", "archive", "recovery-plan"),
}


class SectionedGroup(LazyGroup):
    """The group of all commands. Its help lists them in sections, each with its whole first sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        others = [name for name in names if not any(name in section for section in SECTIONS.values())]
        # The indent and the gap take six columns.
        limit = formatter.width - 6 - max(map(len, names))
        for title, section in (*SECTIONS.items(), ("Other", others)):
            found = [(name, command) for name in section if (command := self.get_command(ctx, name)) is not None]
            if found:
                with formatter.section(title):
                    width = max(map(len, names))
                    formatter.write_dl(
                        [(name.ljust(width), command.get_short_help_str(limit)) for name, command in found]
                    )
