"""`exchange version`: the versions of the program, its formats and everything that it runs on."""

import platform
import re
import sqlite3
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed_version

import click
import msgspec

from exchange import __version__
from exchange.cli.options import json_option
from exchange.cli.output import Styled, add_rows, print_json, print_tables, table
from exchange.compiled import WHY_PURE
from exchange.domain.rules import RULES_VERSION
from exchange.engine.engine import IMAGE_VERSION
from exchange.history_db.file import SCHEMA_VERSION
from exchange.journal.schema import known_migrations

# The extras that change the exchange. The others are for its development.
_EXTRAS = ("fast", "proof", "charts", "parquet")


class _Package(msgspec.Struct):
    name: str
    # None: not installed.
    version: str | None
    # The optional part of the exchange that needs it; None if every part does.
    extra: str | None


class _Versions(msgspec.Struct):
    exchange: str
    python: str
    platform: str
    sqlite: str
    # True if the compiled modules run, False if their Python source does.
    compiled: bool
    # None if the compiled modules run.
    why_pure: str | None
    journal_schema: int
    history_schema: int
    snapshot_format: int
    rules_version: int
    packages: list[_Package]


@click.command()
@click.option("--verbose", is_flag=True, help="Show also Python, SQLite, the formats of files, and each dependency.")
@json_option
def version(verbose: bool, as_json: bool) -> None:
    """Show the version of the exchange and of what it runs on.

    It names the modules that run: the compiled ones, or their Python source and why.

    \b
    Examples:
      exchange version --verbose
      exchange version --json
    """
    found = _versions()
    if as_json:
        print_json(found)
    elif verbose:
        _show(found)
    else:
        click.echo(f"exchange, version {__version__}, {_modules(found)}")


def _modules(found: _Versions) -> str:
    return "compiled" if found.compiled else f"plain Python ({found.why_pure})"


def _show(found: _Versions) -> None:
    general = table("exchange", found.exchange, wrapped=(found.exchange,))
    add_rows(
        general,
        (
            ("Python", found.python),
            ("platform", found.platform),
            ("SQLite", found.sqlite),
            ("modules", _modules(found)),
            ("schema of the journal", str(found.journal_schema)),
            ("schema of the history", str(found.history_schema)),
            ("format of snapshots", str(found.snapshot_format)),
            ("version of the rules", str(found.rules_version)),
        ),
    )
    packages = table("package", "version", "needed for")
    for package in found.packages:
        number = Styled(package.version, "") if package.version else Styled("not installed", "dim")
        packages.rows.append((Styled(package.name, ""), number, Styled(package.extra or "everything", "")))
    print_tables(general, packages)


def _versions() -> _Versions:
    """Read the versions of this installation. Nothing of a running exchange or of a journal is read."""
    return _Versions(
        __version__,
        f"{platform.python_implementation()} {platform.python_version()}",
        platform.platform(),
        sqlite3.sqlite_version,
        WHY_PURE is None,
        WHY_PURE,
        len(known_migrations()),
        SCHEMA_VERSION,
        IMAGE_VERSION,
        RULES_VERSION,
        sorted(_packages(), key=lambda package: (package.extra or "", package.name)),
    )


def _packages() -> Iterator[_Package]:
    """The packages that the exchange asks for. None if it was not installed, but found in its source folder."""
    try:
        requirements = requires("event-sourced-exchange") or []
    except PackageNotFoundError:
        return
    for requirement in requirements:
        name, extra = re.match(r"[\w.-]+", requirement), re.search(r"extra == [\"'](\w+)", requirement)
        assert name is not None, requirement
        if extra is None or extra[1] in _EXTRAS:
            yield _Package(name[0], _version_of(name[0]), None if extra is None else extra[1])


def _version_of(package: str) -> str | None:
    try:
        return installed_version(package)
    except PackageNotFoundError:
        return None
