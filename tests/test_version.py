"""`exchange version` tells what is installed, and nothing that is not."""

import json
import platform
import sqlite3
import tomllib
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import exchange.cli.version as module
from exchange import __version__
from exchange.cli.main import main

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
    assert not found["compiled"]
    named = {package["name"] for package in found["packages"] if package["extra"] is None}
    assert named == {line.partition(">")[0] for line in PROJECT["dependencies"]}
    assert {"fast", "proof", "charts", "parquet"} == {package["extra"] for package in found["packages"]} - {None}


def test_the_short_form_is_that_of_the_option() -> None:
    short = CliRunner().invoke(main, ["version"])
    assert short.stdout == CliRunner().invoke(main, ["--version"]).stdout


def test_a_package_that_is_missing_is_shown_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "requires", lambda name: ["no-such-package<2,>=1", "click>=8", 'x>1; extra == "dev"'])
    assert [(p["name"], p["version"] is None) for p in _versions()["packages"]] == [
        ("click", False),
        ("no-such-package", True),
    ]
    shown = CliRunner().invoke(main, ["version", "--verbose"]).stdout
    assert "no-such-package  not installed  everything" in shown


def test_a_matcher_of_machine_code_counts_as_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("exchange.matching.apply", None, origin="apply.cpython-311-x86_64-linux-gnu.so")
    monkeypatch.setattr(module, "EXTENSION_SUFFIXES", [".cpython-311-x86_64-linux-gnu.so"])
    monkeypatch.setattr(module, "find_spec", lambda name: spec)
    assert _versions()["compiled"]
