"""`exchange sessions`: list the runs of the server."""

from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.options import db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.history.runs import runs as read_runs


@click.command()
@db_option
@json_option
def sessions(path: Path, as_json: bool) -> None:
    """List the runs of the server, and how each ended.

    \b
    Example:
      exchange sessions
    """
    found = read_runs(path)
    if as_json:
        print_json([run._asdict() for run in found])
    elif found:
        names = (">session", "started", "last command", ">first seq", ">last seq", "version", "ended", "digest")
        shown = table(*names, optional=("digest", "version", "last command"))
        rows = (
            (
                str(run.number),
                short_time(run.started_us),
                short_time(run.ended_us),
                str(run.first_seq),
                str(run.last_seq),
                run.program_version,
                run.ending,
                (run.digest or "")[:16],
            )
            for run in found
        )
        add_rows(shown, rows)
        print_tables(shown)
    else:
        click.echo(f"no server has run on {path}")
