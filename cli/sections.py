"""The list of commands in sections, as `exchange --help` shows it.

The first sentences of the commands are written down here, because importing every command takes ten times as long as
printing the help. A test compares them with the help of the commands.
"""

import click

from exchange.cli.lazy import LazyGroup

# Each command is in one section; a command without a section is not shown.
SECTIONS = {
    "Trade": {
        "order": "Buy, sell, close positions, edit, cancel and show orders.",
        "mmp": "Market maker protection: limits for the fills of quotes.",
        "account": "Show an account, deposit cash, withdraw cash.",
        "bot": "Run a trading bot as an ordinary client until Ctrl-C.",
    },
    "Market": {
        "instrument": "Show the listed instruments, or list a new one.",
        "ticker": "Show quotes, mark prices and Greeks of options.",
        "candles": "Show candles of an instrument or of an index, oldest first.",
        "book": "Watch an order book and its last trades until Ctrl-C.",
        "watch": "Watch the market and trade by keys, in the terminal.",
        "index": "Show and feed index prices.",
        "settlements": "Show the settlements of expired series, newest first.",
        "admin": "Run a market: index, rules, settlement, halts, users.",
    },
    "History": {
        "sql": "Query the history of the journal in SQL, read-only.",
        "state": "Show the state right after a command or at a time.",
        "history": "Write, export and describe the history file.",
        "explain": "Show the history of an order, or the effect of a command.",
        "replay": "Carry out recorded commands again and print the events.",
        "what-if": "Replay the history with changes and show the differences.",
        "diff": "Show the first difference between two journals.",
        "fork": "Create a journal that continues from a past moment.",
        "chart": "Draw charts of recorded data.",
        "sessions": "List the runs of the server, and how each ended.",
        "journal": "Inspect, verify, copy and shrink the journal.",
    },
    "Run": {
        "demo": "Run an exchange with a live market until Ctrl-C.",
        "serve": "Run the exchange until Ctrl-C.",
        "top": "Watch rates, latencies and queues of the running exchange.",
        "init": "Create a journal and record its rules.",
        "simulate": "Run the demo market in simulated time.",
        "follow": "Follow the journal and raise an alarm if a digest differs.",
        "snapshot": "Manage snapshots, which shorten the next start.",
        "archive": "List and merge the archives with older commands.",
        "recovery-plan": "Show the steps and estimated time of the next start.",
        "version": "Show the version of the exchange and of what it runs on.",
    },
}


class SectionedGroup(LazyGroup):
    """The group of all commands. Its help lists them in sections, and imports none of them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for section in SECTIONS.values() for name in section)
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), sentence) for name, sentence in section.items()])
