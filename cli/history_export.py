"""`exchange history export`: write the tables and views of the history to files for other tools."""

from pathlib import Path

import click

from exchange.cli.options import db_option
from exchange.cli.progress import ReplayBar
from exchange.history_db.export import export_csv, export_parquet
from exchange.history_db.update import update_history


@click.command()
@click.option("--csv", "csv_folder", type=click.Path(file_okay=False, path_type=Path), help="Write CSV files here.")
@click.option(
    "--parquet", "parquet_folder", type=click.Path(file_okay=False, path_type=Path), help="Write Parquet files here."
)
@db_option
def export(csv_folder: Path | None, parquet_folder: Path | None, path: Path) -> None:
    """Write each documented view of the history to a file of its own.

    Parquet files carry the unit of each column in their schema; they need the extra `parquet`.

    \b
    Examples:
      exchange history export --csv tables/
      exchange history export --parquet tables/
    """
    if csv_folder is None and parquet_folder is None:
        raise click.UsageError("name a folder: --csv DIR or --parquet DIR")
    with ReplayBar("writing the history") as bar:
        update_history(path, lambda sentence: click.echo(sentence, err=True), bar)
    for folder, write in ((csv_folder, export_csv), (parquet_folder, export_parquet)):
        if folder is not None:
            for file, rows in write(path, folder):
                click.echo(f"{file}: {rows:,} rows")
