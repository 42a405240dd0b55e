"""The container, the compose file and the systemd unit run the exchange with few rights, and name files that exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from exchange.cli.main import main as cli

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "deploy" / "systemd" / "exchange.service"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
PUBLIC: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.public.yaml").read_text(encoding="utf-8"))
# systemd's own measure of what a service could do: 0 nothing, 10 everything.
EXPOSURE_MAX = 1.5


def _checked_by(program: str, *arguments: str | Path) -> str:
    """The output of a program that exits with 0. Skips the test if it is not installed."""
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: nothing checks {arguments[-1]}")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _parses(words: list[str]) -> dict[str, Any]:
    """The options of an `exchange` command line; fails if the command or an option does not exist."""
    command = cli.get_command(click.Context(cli, **cli.context_settings), words[0])
    assert command is not None
    return command.make_context(words[0], words[1:], parent=click.Context(cli, **cli.context_settings)).params


def test_the_linter_finds_no_fault_in_the_container() -> None:
    _checked_by("hadolint", ROOT / "Dockerfile")


def test_the_container_installs_by_hash_and_runs_without_root() -> None:
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation ." in line for line in installs)
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^VOLUME (.*)$", DOCKERFILE, re.MULTILINE) == ["/data"]
    assert "EXCHANGE_DB=/data/exchange.db" in DOCKERFILE


def test_the_container_copies_files_that_exist_and_every_package() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == names
    assert all((ROOT / name).exists() for name in names)
    assert {path.resolve().name for path in (ROOT / "exchange").iterdir() if path.is_symlink()} < names


def _started(unit: Path) -> list[str]:
    """The words after `exchange` of the command that a unit starts."""
    text = unit.read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=/opt/exchange/bin/exchange (.*)$", text, re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize(
    "words",
    [
        yaml.safe_load(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[0]),
        COMPOSE["services"]["exchange"]["command"],
        PUBLIC["services"]["exchange"]["command"],
        _started(UNIT),
        _started(UNIT.with_name("public.conf")),
    ],
    ids=("image", "compose", "public compose", "unit", "public unit"),
)
def test_the_commands_that_start_the_exchange_are_valid(words: list[str]) -> None:
    """This file stands in for the certificate and its key, and a name for the variable of the compose file."""
    stand_ins = ((r"/(run/secrets|etc/exchange)/\S+", __file__), (r"\$\{EXCHANGE_NAME:.*\}", "exchange.example"))
    for pattern, stand_in in stand_ins:
        words = [re.sub(pattern, stand_in, word) for word in words]
    found = _parses(words)
    assert found["metrics_port"] == 9100
    assert (found["tls_cert"] is None) == (found["tls_key"] is None)
    if "exchange.example" in " ".join(words):
        assert found["tls_cert"] is not None and not found["insecure"]


@pytest.mark.slow
def test_the_container_does_not_start_until_an_option_says_who_may_trade() -> None:
    words = yaml.safe_load(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[0])
    done = subprocess.run(
        [sys.executable, "-m", "exchange.cli.main", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "--insecure" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ("compose.yaml", "deploy/compose.public.yaml"))
def test_the_compose_files_follow_the_specification(name: str) -> None:
    _checked_by("check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / name)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_service_is_confined_and_published_on_this_machine_alone(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    for volume in service["volumes"]:
        source = volume.partition(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).exists(), source


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """The program is not installed here; another one stands in. Faults of other units of this machine do not count."""
    text = UNIT.read_text(encoding="utf-8").replace("/opt/exchange/bin/exchange", sys.executable)
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    assert UNIT.name not in _checked_by("systemd-analyze", "verify", "--man=no", tmp_path / UNIT.name)


def test_the_unit_leaves_the_service_few_rights() -> None:
    measured = _checked_by("systemd-analyze", "security", "--offline=yes", UNIT)
    level = re.search(r"exposure level for exchange.service: ([\d.]+)", measured)
    assert level is not None and float(level[1]) <= EXPOSURE_MAX, measured
