"""`exchange journal checkpoint`: sign the last hash of the journal."""

from pathlib import Path

import click

from exchange.cli.options import db_option
from exchange.history.checkpoints import checkpoint_text, make_checkpoint
from exchange.history.transfer import opened_for_writing


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path), default=Path("-"), metavar="[FILE]")
@db_option
def checkpoint(out: Path, path: Path) -> None:
    """Sign the last hash of the journal.

    The checkpoint is written to FILE or standard output.

    `exchange journal verify --expect FILE` later proves that no command up to there was changed or removed. It proves
    this only to a holder who keeps the file and the public key in another place than the journal.

    The key is in the file JOURNAL.signing-key, which the first checkpoint creates. The exchange may be running. Needs
    the extra `proof`: pip install 'event-sourced-exchange[proof]'.

    \b
    Examples:
      exchange journal checkpoint monday.json
      exchange journal checkpoint | ssh auditor 'cat > monday.json'
    """
    made = make_checkpoint(path)
    with opened_for_writing(out) as file:
        file.write(checkpoint_text(made))
    click.echo(
        f"signed seq {made.seq}, hash {made.hash}, with the public key {made.public_key}. "
        "Keep the checkpoint and this key on another machine",
        err=True,
    )
