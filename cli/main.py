"""The command `exchange`: puts all commands together and turns exceptions into error messages."""

import click

from exchange import __version__
from exchange.cli.account import account
from exchange.cli.admin import admin, deposit, withdraw
from exchange.cli.admin_create_instrument import create_instrument
from exchange.cli.admin_limits import limits
from exchange.cli.admin_rules import rules
from exchange.cli.alias import Alias
from exchange.cli.book import book
from exchange.cli.bot import bot
from exchange.cli.chart import chart
from exchange.cli.demo import demo
from exchange.cli.diff import diff
from exchange.cli.explain import explain
from exchange.cli.failures import ReportingGroup
from exchange.cli.follow import follow
from exchange.cli.fork import fork
from exchange.cli.history import history
from exchange.cli.history_export import export as export_history
from exchange.cli.history_rebuild import rebuild as rebuild_history
from exchange.cli.index import index
from exchange.cli.index_feed import feed
from exchange.cli.init import init
from exchange.cli.instrument import instrument
from exchange.cli.journal import journal
from exchange.cli.journal_backup import backup
from exchange.cli.journal_bisect import bisect
from exchange.cli.journal_check import check
from exchange.cli.journal_checkpoint import checkpoint
from exchange.cli.journal_compact import compact
from exchange.cli.journal_digests import digests
from exchange.cli.journal_export import export
from exchange.cli.journal_import import import_
from exchange.cli.journal_info import info
from exchange.cli.journal_prove import prove
from exchange.cli.journal_rebuild import rebuild
from exchange.cli.journal_tail import tail
from exchange.cli.journal_verify import verify
from exchange.cli.order import order
from exchange.cli.recovery_plan import recovery_plan
from exchange.cli.replay import replay
from exchange.cli.serve import serve
from exchange.cli.sessions import sessions
from exchange.cli.settlements import settlements
from exchange.cli.simulate import simulate
from exchange.cli.snapshot import snapshot
from exchange.cli.sql import sql
from exchange.cli.state import state
from exchange.cli.ticker import ticker
from exchange.cli.what_if import what_if


@click.group(cls=ReportingGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="exchange")
def main() -> None:
    """Run and inspect an options exchange that records every command in an SQLite journal.

    \b
    Begin with:
      exchange demo                       start an exchange with a live market
      exchange instrument list            list instruments (in another terminal)
      exchange order buy --help           learn how to trade

    Commands take and print prices in USDC (1.50) and sizes in contracts (0.5). --json prints the protocol's integers:
    micros and millicontracts.
    """


_TOP_LEVEL = (
    *(init, serve, demo, bot, simulate, admin, follow, snapshot, recovery_plan),
    *(instrument, index, ticker, book, order, account, settlements),
    *(journal, history, sessions, replay, state, explain, what_if, diff, fork, sql, chart),
)
_JOURNAL = (tail, info, verify, checkpoint, prove, check, rebuild, compact, export, import_, backup, digests, bisect)

for _command in _TOP_LEVEL:
    main.add_command(_command)
for _command in _JOURNAL:
    journal.add_command(_command)
for _command in (create_instrument, limits, rules):
    admin.add_command(_command)
history.add_command(rebuild_history)
history.add_command(export_history)
index.add_command(feed)
account.add_command(Alias("account deposit", deposit, "admin deposit"))
account.add_command(Alias("account withdraw", withdraw, "admin withdraw"))
instrument.add_command(Alias("instrument create", create_instrument, "admin create-instrument"))

if __name__ == "__main__":
    main()
