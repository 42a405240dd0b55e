"""`exchange serve`: run the exchange until Ctrl-C."""

from pathlib import Path

import click
from msgspec.structs import replace

from exchange.cli.options import clock_start_option, db_option
from exchange.cli.security_options import Access, access_options
from exchange.cli.server_process import (
    accept_loss_option,
    archive_options,
    host_option,
    open_option,
    port_option,
    run_server,
)
from exchange.cli.watch_options import Watching, watch_options
from exchange.gateway.chaos import ChaosPlan
from exchange.gateway.limits import GatewayLimits
from exchange.runtime.chaos_settings import ChaosError, read_chaos
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.limit_settings import LimitsError, read_limits
from exchange.runtime.server_settings import DEFAULT_RULES, ServerSettings


@click.command()
@db_option
@host_option
@port_option
@open_option
@click.option("--demo", is_flag=True, help="If the journal is new, create a market of options on SOL, BTC and ETH.")
@click.option(
    "--snapshot-every",
    type=click.IntRange(0),
    metavar="COMMANDS",
    help="Save a snapshot after this many commands; 0: only when stopping.  "
    "[default: every 1.2 seconds of replay or 5 minutes]",
)
@clock_start_option
@click.option(
    "--rate-limit",
    type=click.IntRange(0),
    metavar="REQUESTS",
    help="Maximum requests per second on one connection; 0: unlimited.  "
    f"[default: {GatewayLimits().requests_per_second}]",
)
@click.option(
    "--limits",
    "limits_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read limits of clients from this TOML or JSON file. Limits that the file does not set keep their defaults.",
)
@click.option(
    "--chaos",
    "chaos_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For tests of bots: let clients meet faults on purpose, as this TOML or JSON file says: latency, broken "
    "connections, lost answers, refusals by rate, maintenance.",
)
@accept_loss_option
@watch_options(None)
@archive_options(None, None)
@access_options
def serve(
    path: Path,
    host: str,
    port: int,
    opens_screen: bool,
    demo: bool,
    snapshot_every: int | None,
    clock_start_us: int | None,
    rate_limit: int | None,
    limits_file: Path | None,
    chaos_file: Path | None,
    accept_loss: bool,
    archive_after_us: int | None,
    delete_after_us: int | None,
    access: Access,
    watching: Watching,
) -> None:
    """Run the exchange until Ctrl-C. If the journal does not exist, it is created.

    \b
    Examples:
      exchange serve --demo
      exchange serve --port 9000 --clock-start 2026-02-20T00:00:00Z
      exchange serve --limits limits.toml
      exchange serve --demo --chaos chaos.toml
    """
    rules = DEMO_RULES if demo else DEFAULT_RULES
    run_server(
        ServerSettings(
            path,
            host,
            port,
            clock_start_us,
            snapshot_every,
            demo,
            limits=_limits(limits_file, rate_limit),
            rules=rules,
            accept_loss=accept_loss,
            metrics_port=watching.metrics_port,
            metrics_host=watching.metrics_host,
            chaos=_chaos(chaos_file),
            archive_after_us=archive_after_us,
            delete_archives_after_us=delete_after_us,
            **access._asdict(),
        ),
        watching.log,
        opens_screen,
    )


def _limits(file: Path | None, requests_per_second: int | None) -> GatewayLimits:
    """The limits of the file, with the rate of the option if it is given."""
    try:
        limits = GatewayLimits() if file is None else read_limits(file)
    except LimitsError as error:
        raise click.UsageError(str(error)) from error
    return limits if requests_per_second is None else replace(limits, requests_per_second=requests_per_second)


def _chaos(file: Path | None) -> ChaosPlan | None:
    try:
        return None if file is None else read_chaos(file)
    except ChaosError as error:
        raise click.UsageError(str(error)) from error
