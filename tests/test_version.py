"""`exchange version` tells what is installed, and nothing that is not."""

import json
import platform
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import exchange.cli.version as module
from exchange import __version__
from exchange.cli.main import main
from exchange.compiled import WHY_PURE

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _versions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CliRunner().invoke(main, ["version", "--json"]).stdout)
    return found


def test_it_names_the_program_its_formats_and_each_dependency() -> None:
    found = _versions()
    assert found["exchange"] == __version__
    assert platform.python_version() in found["python"]
    assert found["sqlite"] == sqlite3.sqlite_version
    assert found["journal_schema"] == len(list((ROOT / "migrations").glob("0*.sql")))
    assert found["compiled"] == (WHY_PURE is None)
    named = {package["name"] for package in found["packages"] if package["extra"] is None}
    assert named == {line.partition(">")[0] for line in PROJECT["dependencies"]}
    assert {"fast", "proof", "charts", "parquet"} == {package["extra"] for package in found["packages"]} - {None}


@pytest.mark.parametrize(
    ("why_pure", "shown"),
    [(None, "compiled"), ("not compiled", "plain Python (not compiled)")],
)
def test_the_version_says_whether_compiled_modules_run(
    monkeypatch: pytest.MonkeyPatch, why_pure: str | None, shown: str
) -> None:
    monkeypatch.setattr(module, "WHY_PURE", why_pure)
    option = CliRunner().invoke(main, ["--version"]).stdout
    assert CliRunner().invoke(main, ["version"]).stdout == f"{option.strip()}, {shown}\n"
    assert f"modules                {shown}" in CliRunner().invoke(main, ["version", "--verbose"]).stdout
    assert (_versions()["compiled"], _versions()["why_pure"]) == (why_pure is None, why_pure)


def test_a_package_that_is_missing_is_shown_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "requires", lambda name: ["no-such-package<2,>=1", "click>=8", 'x>1; extra == "dev"'])
    assert [(p["name"], p["version"] is None) for p in _versions()["packages"]] == [
        ("click", False),
        ("no-such-package", True),
    ]
    shown = CliRunner().invoke(main, ["version", "--verbose"]).stdout
    assert "no-such-package  not installed  everything" in shown
