"""Compiled modules: the same results as their source, and which of the two a process runs."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from exchange.compiled import LIBRARY, MODULES, WHY_PURE

ROOT = Path(__file__).parents[1]
# Prints the file of each module that can be compiled, then the reason for the source.
FILES = (
    "import importlib; from exchange.compiled import MODULES, WHY_PURE; "
    "print(*(importlib.import_module(name).__file__ for name in MODULES), WHY_PURE, sep='\\n')"
)


def _run(*arguments: str, cwd: Path = ROOT, **environment: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if name != "EXCHANGE_PURE"} | environment
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


def _files(cwd: Path, **environment: str) -> tuple[set[str], str]:
    """The endings of the files that a process imports, and its reason for the source."""
    done = _run("-c", FILES, cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr
    *files, reason = done.stdout.splitlines()
    assert len(files) == len(MODULES)
    return {Path(file).suffix for file in files}, reason


@pytest.mark.slow
@pytest.mark.skipif(WHY_PURE == "not compiled", reason="nothing is compiled here; `make test-compiled` runs this test")
def test_compiled_modules_give_the_same_digests_as_their_source() -> None:
    """Of the events, the state and the views, after the golden streams and random ones."""
    assert _files(ROOT) == ({".so"}, "None")
    assert _files(ROOT, EXCHANGE_PURE="1") == ({".py"}, "EXCHANGE_PURE is set")
    source = _run("-m", "tests.stream_digests", EXCHANGE_PURE="1")
    compiled = _run("-m", "tests.stream_digests")
    assert source.stdout == compiled.stdout
    assert len(source.stdout.splitlines()) == 10, source.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose compiled modules cannot be loaded, so that a process fails unless it runs the source."""
    shutil.copytree(ROOT / "exchange", tmp_path / "exchange", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for module in (*MODULES, f"{LIBRARY}__mypyc"):
        (tmp_path / module.replace(".", "/")).with_suffix(EXTENSION_SUFFIXES[0]).write_text("no machine code")
    return tmp_path


@pytest.mark.slow
def test_a_process_runs_the_source_if_nothing_is_compiled(checkout: Path) -> None:
    for file in checkout.glob("**/*.so"):
        file.unlink()
    assert _files(checkout) == ({".py"}, "not compiled")


@pytest.mark.slow
@pytest.mark.parametrize(("value", "is_pure"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_environment_chooses_the_source(checkout: Path, value: str, is_pure: bool) -> None:
    if is_pure:
        assert _files(checkout, EXCHANGE_PURE=value) == ({".py"}, "EXCHANGE_PURE is set")
    else:
        assert "ImportError" in _run("-c", FILES, cwd=checkout, EXCHANGE_PURE=value).stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", ("exchange.compiled", MODULES[0], MODULES[-1]))
def test_one_changed_source_makes_a_process_run_all_sources(checkout: Path, module: str) -> None:
    source = (checkout / module.replace(".", "/")).with_suffix(".py")
    os.utime(source, (2**31, 2**31))
    assert _files(checkout) == ({".py"}, f"{module} has changed since the modules were compiled")


def test_the_times_of_an_installed_wheel_say_nothing(checkout: Path) -> None:
    (checkout / "pyproject.toml").unlink()
    os.utime(checkout / "exchange" / "matching" / "book.py", (2**31, 2**31))
    assert "ImportError" in _run("-c", FILES, cwd=checkout).stderr


def test_a_missing_c_compiler_is_named() -> None:
    done = _run("setup.py", "--quiet", "build_ext", EXCHANGE_COMPILE="1", CC="no-such-compiler")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: there is no C compiler 'no-such-compiler'; install one")


def _structs(module: str) -> Iterator[str]:
    """The classes of a module that derive from msgspec.Struct."""
    tree = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and "msgspec.Struct" in map(ast.unparse, node.bases):
            yield node.name


@pytest.mark.parametrize("module", MODULES)
def test_no_compiled_module_has_a_class_that_msgspec_encodes(module: str) -> None:
    assert list(_structs(module)) == []


def test_all_of_matching_is_compiled_but_the_messages() -> None:
    modules = {f"exchange.matching.{path.stem}" for path in (ROOT / "exchange" / "matching").glob("[!_]*.py")}
    assert modules - set(MODULES) == {"exchange.matching.refusal"}
