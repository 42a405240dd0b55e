"""`exchange replay --serve`: a replay to connect to."""

import asyncio
from pathlib import Path

import click

from exchange.cli.serve import StoppedEarlyError, Stopping, explained, is_loopback, run_loop
from exchange.history.replay_server import ReplayOptions, serve_replay


def run_replay_server(path: Path, scope: ReplayOptions, host: str, port: int) -> None:
    """Serve a replay until Ctrl-C."""
    if not is_loopback(host):
        raise click.UsageError(f"{host!r} can be reached from other machines, where everyone could see every account")
    try:
        with Stopping() as stopping:
            run_loop(_serve(path, scope, host, port, stopping))
    except StoppedEarlyError:
        return
    except OSError as error:
        raise explained(error, host, port) from error


async def _serve(path: Path, scope: ReplayOptions, host: str, port: int, stopping: Stopping) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    stopping.tell(lambda: loop.call_soon_threadsafe(stop.set))

    def listening(url: str) -> None:
        begins = "waits for replay/resume" if scope.is_paused else "begins with the first subscription"
        click.echo(f"listening on {url}\n\nseq {scope.first_seq} to {scope.last_seq} of {path}: it {begins}.")
        click.echo("It stands before its first order; whoever has an account by the end can enter and watch it.")
        click.echo("To steer it: replay/pause, replay/resume, replay/speed, replay/seek, replay/status.")
        click.echo("Ctrl-C ends it.")

    await serve_replay(path, scope, host, port, listening, stop)
