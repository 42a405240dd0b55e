"""Reading a journal without write access to it or to its folder: commands work and leave no files behind."""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from exchange.history_db.file import history_path
from tests.cli_support import exchange
from tests.journals import COMMANDS, play

# The user id that the tests switch to if root runs them, because root may do everything.
NOBODY = 65_534
LOOKS = (
    ("journal", "verify"),
    ("journal", "check"),
    ("journal", "info"),
    ("sessions",),
    ("sql", "SELECT * FROM fills"),
    ("state",),
    ("state", "--at", "200"),
    ("order", "list", "--user", "alice"),
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the rights of files are those of Unix")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rights") / "exchange.db"
    play(path)
    for look in LOOKS:
        # Imports all modules, because the stranger may not be allowed to read them.
        exchange(*look, "--db", path)
    return path


@pytest.fixture
def path(made: Path) -> Iterator[Path]:
    """A journal in good order, in a folder that all users may read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copy(made, folder / "exchange.db")
    yield folder / "exchange.db"
    folder.chmod(0o755)
    shutil.rmtree(folder)


def as_a_stranger(*arguments: object) -> tuple[int, str]:
    """Run `exchange ARGUMENTS` in a process without special rights. Returns its exit code and output."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            result = exchange(*arguments)
            os.write(writing, json.dumps([result.exit_code, result.output[-2_000:]]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    exit_code, output = json.loads(said)
    return exit_code, output


def close(path: Path, folder_mode: int) -> None:
    path.chmod(0o444)
    path.parent.chmod(folder_mode)


@pytest.mark.slow
@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
@pytest.mark.parametrize("look", LOOKS)
def test_a_journal_with_read_access_only(path: Path, look: tuple[str, ...], folder_mode: int) -> None:
    """In a folder open to all, files created by SQLite would belong to the reader and lock the exchange out."""
    close(path, folder_mode)
    before = path.read_bytes()
    exit_code, output = as_a_stranger(*look, "--db", path)
    assert exit_code == 0, output
    assert [file.name for file in path.parent.iterdir()] == ["exchange.db"]
    assert path.read_bytes() == before


def test_a_journal_that_another_user_writes(path: Path) -> None:
    """The commands in the -wal are read, too."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO digests VALUES (400, 'mine', 'x')")
        for file in path.parent.iterdir():
            file.chmod(0o444)
        path.parent.chmod(0o555)
        exit_code, output = as_a_stranger("sql", "--csv", "SELECT digest FROM digests", "--db", path)
        assert exit_code == 0
        told, *printed = output.splitlines()
        assert told.startswith(f"you may not write next to {path}, so its history is written into ")
        assert printed == ["digest", "x"]
        assert not Path(told.split(" into ")[1].removesuffix(" for this command")).exists()


def test_the_complete_history_of_another_user_is_read(made: Path, path: Path) -> None:
    shutil.copy(history_path(made), history_path(path))
    history_path(path).chmod(0o444)
    close(path, 0o555)
    exit_code, output = as_a_stranger("sql", "--csv", "SELECT max(seq) AS seq FROM commands", "--db", path)
    assert (exit_code, output) == (0, f"seq\n{COMMANDS}\n")
    assert sorted(file.name for file in path.parent.iterdir()) == ["exchange.db", "exchange.history.db"]


def test_a_log_that_needs_a_writable_folder(path: Path) -> None:
    """A -wal that was copied without its -shm, which SQLite cannot create here: the error says what to do."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO digests VALUES (400, 'mine', 'x')")
        shutil.copy(f"{path}-wal", path.parent / "kept")
    (path.parent / "kept").replace(f"{path}-wal")
    close(path, 0o555)
    exit_code, output = as_a_stranger("journal", "verify", "--db", path)
    assert exit_code == 2
    assert "cannot be read here (unable to open database file): copy the journal" in output


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o000, 0o755), (0o644, 0o000)])
def test_a_journal_without_read_access(path: Path, file_mode: int, folder_mode: int) -> None:
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)
    for look in LOOKS:
        exit_code, output = as_a_stranger(*look, "--db", path)
        expected = 1 if file_mode and look not in (("journal", "verify"), ("journal", "check")) else 2
        assert (exit_code, str(path) in output, "Traceback" in output) == (expected, True, False), output


def test_a_user_who_may_not_read_the_address_is_told_how_to_get_a_key(path: Path) -> None:
    lock = path.with_name("exchange.db.lock")
    lock.touch(0o600)
    close(path, 0o755)
    order = ("order", "buy", "SOL_USDC-28FEB26-150-C", 1, 1, "--user", "alice")
    exit_code, output = as_a_stranger(*order, "--db", path)
    assert exit_code == 1
    assert "you may not read the address of the exchange" in output and "use a --key-file with a URL" in output
