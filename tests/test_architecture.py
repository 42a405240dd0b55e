"""Checks the source: imports point one way without circles, and the pure packages stay pure."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Our packages that each package may import.
ALLOWED = {
    "exchange.cli": {
        "exchange.keys",
        "exchange",
        "exchange.bots",
        "exchange.client",
        "exchange.domain",
        "exchange.engine",
        "exchange.history_db",
        "exchange.gateway",
        "exchange.history",
        "exchange.projections",
        "exchange.runtime",
        "exchange.simulation",
        "exchange.journal",
        "exchange.snapshots",
    },
    "exchange.simulation": {
        "exchange.keys",
        "exchange",
        "exchange.bots",
        "exchange.client",
        "exchange.domain",
        "exchange.engine",
        "exchange.projections",
        "exchange.runtime",
        "exchange.journal",
    },
    "exchange.history": {
        "exchange.keys",
        "exchange.catch_up",
        "exchange",
        "exchange.domain",
        "exchange.engine",
        "exchange.history_db",
        "exchange.gateway",
        "exchange.matching",
        "exchange.projections",
        "exchange.runtime",
        "exchange.journal",
        "exchange.snapshots",
    },
    "exchange.runtime": {
        "exchange.keys",
        "exchange",
        "exchange.bots",
        "exchange.catch_up",
        "exchange.client",
        "exchange.domain",
        "exchange.engine",
        "exchange.history_db",
        "exchange.gateway",
        "exchange.matching",
        "exchange.past",
        "exchange.projections",
        "exchange.journal",
        "exchange.snapshots",
    },
    "exchange.catch_up": {
        "exchange",
        "exchange.domain",
        "exchange.engine",
        "exchange.projections",
        "exchange.journal",
    },
    "exchange.history_db": {
        "exchange",
        "exchange.domain",
        "exchange.engine",
        "exchange.matching",
        "exchange.projections",
        "exchange.journal",
    },
    "exchange.past": {
        "exchange.keys",
        "exchange",
        "exchange.catch_up",
        "exchange.domain",
        "exchange.gateway",
        "exchange.history_db",
        "exchange.projections",
        "exchange.journal",
    },
    "exchange.engine": {
        "exchange",
        "exchange.domain",
        "exchange.matching",
        "exchange.projections",
        "exchange.journal",
        "exchange.snapshots",
    },
    "exchange.gateway": {"exchange", "exchange.catch_up", "exchange.domain", "exchange.keys", "exchange.projections"},
    "exchange.bots": {"exchange.client", "exchange.domain", "exchange.projections"},
    "exchange.client": {"exchange.domain", "exchange.keys", "exchange.projections"},
    "exchange.matching": {"exchange.domain"},
    "exchange.projections": {"exchange.domain"},
    "exchange.keys": {"exchange", "exchange.domain"},
    "exchange.domain": set(),
    "exchange.journal": {"exchange.migrations"},
    "exchange.snapshots": set(),
    "exchange.migrations": set(),
}
IMPURE = {
    "asyncio",
    "time",
    "random",
    "uuid",
    "sqlite3",
    "aiosqlite",
    "os",
    "logging",
    "secrets",
    "threading",
    "socket",
}
# Their floats are shown to users and decide nothing.
WITH_FLOATS = ("black_scholes.py", "historical_volatility.py", "implied_volatility.py")
PURE = ("exchange.domain", "exchange.matching", "exchange.projections")


def _package_of(module: str) -> str | None:
    """Our package that `module` belongs to; None if it is not ours."""
    parts = module.split(".")
    if parts[0] != "exchange":
        return None
    return ".".join(parts[:2]) if len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir() else "exchange"


def _imports(package: str) -> Iterator[tuple[Path, str]]:
    for file in sorted((ROOT / package.replace(".", "/")).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{file}: a relative import"
                yield file, node.module


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package: str) -> None:
    found = list(_imports(package))
    assert found or package in ("exchange.migrations",)
    for file, module in found:
        target = _package_of(module)
        assert target in (None, package) or target in ALLOWED[package], f"{file} may not import {module}"


@pytest.mark.slow
def test_class_names_are_unique() -> None:
    """A name means one class in the whole project, private classes included."""
    places: dict[str, list[str]] = {}
    for package in ("exchange", *ALLOWED):
        for file in sorted((ROOT / package.replace(".", "/")).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def _imports_of_modules() -> dict[str, set[str]]:
    """Our modules and those of ours that each imports, also only for type checking or inside functions."""
    files = {
        f"{package}.{file.stem}".removesuffix(".__init__"): file
        for package in ("exchange", *ALLOWED)
        for file in sorted((ROOT / package.replace(".", "/")).glob("*.py"))
    }
    graph: dict[str, set[str]] = {module: set() for module in files}
    for module, file in files.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                graph[module] |= {alias.name for alias in node.names if alias.name in files}
            elif isinstance(node, ast.ImportFrom) and node.module in files:
                imported = {f"{node.module}.{alias.name}" for alias in node.names}
                # A name that is not a module comes from the package's __init__.py.
                graph[module] |= {name if name in files else node.module for name in imported}
    return graph


def _circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The nodes of one circle in the order of the imports; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle[::-1]
    return []


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not (circle := _circle(_imports_of_modules())), " -> ".join(circle)


@pytest.mark.slow
def test_no_packages_import_each_other_in_a_circle() -> None:
    packages: dict[str, set[str]] = {}
    for module, imported in _imports_of_modules().items():
        package = _package_of(module)
        assert package is not None
        packages.setdefault(package, set()).update(
            target for name in imported if (target := _package_of(name)) not in (None, package)
        )
    assert not (circle := _circle(packages)), " -> ".join(circle)


def test_a_circle_of_imports_is_found() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) in (
        ["a", "b", "c", "a"],
        ["b", "c", "a", "b"],
        ["c", "a", "b", "c"],
    )
    assert _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


# Modules outside the journal that name SQLite, each with its reason.
MAY_NAME_SQLITE = {
    "exchange/history_db/file.py": "opens the history, which is an SQLite file",
    "exchange/history_db/memory.py": "reads the newest rows of the history",
    "exchange/history_db/past_views.py": "reads the history",
    "exchange/history_db/position_changes.py": "reads the history",
    "exchange/history_db/update.py": "reports an error of SQLite as a sentence",
    "exchange/past/answers.py": "reads the history",
    "exchange/runtime/follower.py": "reports an error of SQLite as a sentence",
    "exchange/history/sql.py": "gives SQL to users: adds functions, interrupts queries, explains SQLite's errors",
    "exchange/history/chart_data.py": "reads the history",
    "exchange/history/history_audit.py": "compares the history with another one",
    "exchange/history/trade_search.py": "reads the history",
    "exchange/cli/sql.py": "asks SQLite whether a typed statement is complete",
    "exchange/cli/completion.py": "completes names from the history, quickly or not at all",
    "exchange/cli/failures.py": "reports an error of SQLite as a sentence",
    "exchange/cli/diff.py": "reports an error of SQLite as a sentence",
    "exchange/cli/version.py": "shows the version of SQLite",
}


@pytest.mark.slow
def test_only_the_journal_names_its_implementation() -> None:
    """Every other package opens a journal through `exchange.journal.opening` and uses its protocols."""
    hidden = {"exchange.journal.sqlite_reader", "exchange.journal.sqlite_writer"}
    naming = set()
    for package in set(ALLOWED) - {"exchange.journal"} | {"exchange"}:
        for file, module in _imports(package):
            assert module not in hidden, f"{file} may not import {module}"
            if module in ("sqlite3", "aiosqlite"):
                naming.add(file.relative_to(ROOT).as_posix())
    assert naming == set(MAY_NAME_SQLITE)


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_import_nothing_of_the_world(package: str) -> None:
    for file, module in _imports(package):
        assert module.split(".")[0] not in IMPURE, f"{file} may not import {module}"


def test_bots_decide_without_the_world() -> None:
    for file, module in _imports("exchange.bots"):
        if file.stem not in ("live", "demo_bots"):
            assert module.split(".")[0] not in IMPURE - {"random"}, f"{file} may not import {module}"


@pytest.mark.parametrize("package", ("exchange.bots", "exchange.client"))
def test_clients_know_of_the_projections_only_their_shapes(package: str) -> None:
    for file, module in _imports(package):
        if module.startswith("exchange.projections"):
            assert module == "exchange.projections.wire_types", f"{file} may not import {module}"


@pytest.mark.parametrize("package", PURE)
def test_the_core_uses_no_floats(package: str) -> None:
    for file in sorted((ROOT / package.replace(".", "/")).glob("*.py")):
        if file.name in WITH_FLOATS:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            where = f"{file}:{getattr(node, 'lineno', 0)}"
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{where}: a float"
            assert not isinstance(node, ast.Div), f"{where}: a division that makes a float"
            assert not (isinstance(node, ast.Name) and node.id in ("float", "set", "frozenset")), f"{where}: {node.id}"
            assert not isinstance(node, ast.Set | ast.SetComp), f"{where}: a set, which has no order"
