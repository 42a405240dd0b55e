"""`exchange sessions`: the runs of the server."""

from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.options import db_option, json_option
from exchange.cli.output import add_rows, console, print_json, table
from exchange.history.runs import runs as read_sessions


@click.command()
@db_option
@json_option
def sessions(path: Path, as_json: bool) -> None:
    """List the runs of the server: when, which commands, and whether it was stopped in good order.

    \b
    Example:
      exchange sessions
    """
    found = read_sessions(path)
    if as_json:
        print_json([session._asdict() for session in found])
    elif found:
        shown = table(">session", "started", "last command", ">first seq", ">last seq", "version", "ended", "digest")
        rows = (
            (
                str(session.number),
                short_time(session.started_us),
                short_time(session.ended_us),
                str(session.first_seq),
                str(session.last_seq),
                session.program_version,
                session.ending,
                (session.digest or "")[:16],
            )
            for session in found
        )
        add_rows(shown, rows)
        console().print(shown)
    else:
        click.echo(f"no server ever ran on {path}")
