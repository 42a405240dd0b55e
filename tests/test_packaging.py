"""The distribution: one top-level package, typed, with every file it needs, wherever it is installed."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import exchange
from exchange.compiled import LIBRARY, MODULES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# Variables of `make wheel` and of this environment that other installations must not see.
UNSET = ("EXCHANGE_COMPILE", "PYTHONPATH", "VIRTUAL_ENV")
MOVED = ("cli", "journal", "migrations", "snapshots")

CALLER = """\
from exchange.client import connect


async def trade(url: str) -> int:
    async with connect(url, "alice") as client:
        placed = await client.buy("X", amount={amount}, price=1)
        return placed.order.order_id
"""


def _run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the checkout; fail with its output if it fails."""
    env = {name: value for name, value in os.environ.items() if name not in UNSET}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _create_venv(folder: Path, *package: str | Path) -> Path:
    """Create a virtual environment with `package` and the locked packages to run it; return its programs' folder."""
    _run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    pip = (sys.executable, "-m", "pip", "--python", folder, "--disable-pip-version-check", "install", "--quiet")
    locked = ("--require-hashes", "--requirement", ROOT / "requirements" / "run.txt")
    _run(*pip, "--no-deps", *locked, cwd=folder.parent)
    _run(*pip, "--no-deps", "--no-build-isolation", *package, cwd=folder.parent)
    return folder / "bin"


def _requirements() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    everything = [*PROJECT["project"]["dependencies"], *(line for lines in extras for line in lines)]
    return [line for line in everything if not line.startswith(PROJECT["project"]["name"])]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_is_listed() -> None:
    found = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "exchange").rglob("__init__.py")}
    found |= {f"exchange.{folder}" for folder in MOVED}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found | {"exchange"}


def _lines(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


def _locked(name: str) -> dict[str, int]:
    """The packages in a lock, as written in constraints.txt, with their number of hashes."""
    counts: dict[str, int] = {}
    for line in _lines(name):
        if line.startswith("    --hash=sha256:"):
            assert re.fullmatch(r"[0-9a-f]{64}", line.strip().removeprefix("--hash=sha256:").removesuffix(" \\")), line
            counts[next(reversed(counts))] += 1
        else:
            counts[line.removesuffix(" \\")] = 0
    return counts


def test_the_locks_hold_exact_versions_and_nothing_else() -> None:
    for line in _lines("constraints.txt"):
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; [\w.<>=!'() -]+)?", line), line


def test_every_locked_version_has_the_hashes_of_its_files() -> None:
    """No lock names a place to download from: the installer of the machine knows one."""
    everything, run = _locked("requirements/all.txt"), _locked("requirements/run.txt")
    assert list(everything) == _lines("constraints.txt")
    assert all(everything.values())
    assert run.items() <= everything.items()


def test_make_installs_by_hash_but_where_it_chooses_versions() -> None:
    """`make lock` and `make lowest` choose versions. `make run` asks for versions if the lock fits no file here."""
    installs = [line for line in _lines("Makefile") if re.search(r"(bin/pip|PIP\)) install ", line)]
    own = re.compile(r"--no-deps .*(--editable \.|build/dist/\*\.whl)$")
    by_version = [line.strip() for line in installs if "--require-hashes" not in line and not own.search(line)]
    assert [line.split()[0] for line in by_version] == ["build/lowest/bin/pip", "build/lock/bin/pip", "$(PIP)"]


def test_the_locks_hold_the_build_backend_of_the_project() -> None:
    assert PROJECT["build-system"]["requires"] == [line for line in _lines("requirements/build.in") if line[0] != "#"]


@pytest.mark.parametrize("requirement", _requirements())
def test_every_dependency_has_a_range_and_a_locked_version(requirement: str) -> None:
    match = re.match(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+),<(\d+)(;|$)", requirement)
    assert match, f"{requirement}: expected a range such as click>=8.4,<9"
    parts = (line.partition("==") for line in _lines("constraints.txt"))
    locked = {_normal(name): version for name, _, version in parts}
    assert int(locked[_normal(match[1])].split(".")[0]) < int(match[3])


@pytest.mark.parametrize("folder", ("exchange", *MOVED))
def test_every_folder_of_packages_says_that_it_is_typed(folder: str) -> None:
    assert (ROOT / folder / "py.typed").is_file()


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The wheel that `make wheel` has built from the sdist."""
    wheels = sorted((ROOT / "build" / "dist").glob("*.whl"))
    assert wheels, "there is no wheel in build/dist/; run `make wheel`"
    return wheels[-1]


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The programs of the virtual environment in which `make wheel` has installed the wheel and what it needs."""
    return ROOT / "build" / "wheel" / "bin"


@pytest.mark.packaging
def test_the_wheel_has_one_top_level_package_and_every_data_file(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert folders == {"exchange"}
    for folder in MOVED:
        data = {path.relative_to(ROOT) for pattern in ("**/*.sql", "**/*.py") for path in (ROOT / folder).glob(pattern)}
        assert {f"exchange/{path.as_posix()}" for path in data} <= set(names)
        assert f"exchange/{folder}/py.typed" in names
    assert "exchange/py.typed" in names


@pytest.mark.packaging
def test_the_wheel_holds_the_compiled_modules_and_their_source(wheel: Path, installed: Path, tmp_path: Path) -> None:
    """`make wheel EXCHANGE_COMPILE=0` makes a wheel of plain Python, for any platform."""
    is_plain = wheel.name.endswith("-py3-none-any.whl")
    names = {name.partition(".")[0] for name in zipfile.ZipFile(wheel).namelist() if name.endswith((".so", ".pyd"))}
    compiled = {module.replace(".", "/") for module in (*MODULES, f"{LIBRARY}__mypyc")}
    assert names == (set() if is_plain else compiled)
    assert {f"{name}.py" for name in compiled - {"exchange/compiled__mypyc"}} <= set(zipfile.ZipFile(wheel).namelist())
    expected = "plain Python (not compiled)" if is_plain else "compiled"
    shown = _run(installed / "exchange", "version", cwd=tmp_path)
    assert shown == f"exchange, version {exchange.__version__}, {expected}\n"


@pytest.mark.packaging
def test_a_wheel_needs_no_c_compiler(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", ROOT)
    env = {name: value for name, value in os.environ.items() if name not in UNSET} | {"CC": "no-such-compiler"}
    subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith((".so", ".c"))]


@pytest.mark.packaging
def test_the_bill_of_materials_names_the_wheel_and_each_package_that_it_needs(wheel: Path) -> None:
    bill = json.loads(wheel.with_suffix(".cdx.json").read_text(encoding="utf-8"))
    described = bill["metadata"]["component"]
    assert described["version"] == exchange.__version__
    assert described["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    listed = {f"{_normal(part['name'])}=={part['version']}" for part in bill["components"]}
    locked = {line.split(" ;")[0] for line in _locked("requirements/run.txt") if not line.startswith("setuptools==")}
    assert listed == locked
    assert all(part.get("licenses") for part in bill["components"])


@pytest.mark.packaging
def test_the_wheel_runs_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    _run(installed / "exchange", "init", "--db", "fresh.db", cwd=tmp_path)
    assert "fresh.db" in _run(installed / "exchange", "journal", "info", "--db", "fresh.db", cwd=tmp_path)
    for name in MOVED:
        found = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is not None)"
        _run(installed / "python", "-I", "-c", found, cwd=tmp_path)


@pytest.mark.packaging
@pytest.mark.parametrize(("amount", "is_right"), [("1_000", True), ('"oops"', False)])
def test_the_installed_client_is_typed(installed: Path, tmp_path: Path, amount: str, is_right: bool) -> None:
    """Another project's `mypy --strict` accepts a right call and reports a wrong one."""
    (tmp_path / "caller.py").write_text(CALLER.format(amount=amount), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed / "python"), "caller.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode == 0) is is_right, done.stdout + done.stderr
    if not is_right:
        assert 'Argument "amount" to "buy" of "Client" has incompatible type "str"; expected "int"' in done.stdout
        assert "Found 1 error in 1 file" in done.stdout


@pytest.mark.packaging
@pytest.mark.parametrize("symlinks", ("true", "false"))
def test_an_editable_checkout_runs_with_and_without_symlinks(symlinks: str, tmp_path: Path) -> None:
    """Without symlinks, as on Windows, git writes small text files in their place."""
    checkout = tmp_path / "checkout"
    _run("git", "clone", "--quiet", "--config", f"core.symlinks={symlinks}", ROOT, checkout, cwd=tmp_path)
    assert (checkout / "exchange" / "cli").is_symlink() is (symlinks == "true")
    programs = _create_venv(tmp_path / "venv", "--editable", checkout)
    _run(programs / "exchange", "init", "--db", "fresh.db", cwd=tmp_path)
    imports = "import exchange.cli, exchange.journal, exchange.migrations, exchange.snapshots"
    _run(programs / "python", "-c", imports, cwd=tmp_path)
