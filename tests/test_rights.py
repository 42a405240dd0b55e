"""Reading a journal that one may not write to, or whose folder: it is read as it is, and nothing is left there."""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli_support import exchange
from tests.journals import play

NOBODY = 65_534  # whose rights the tests take where they are run by root, who may do everything
LOOKS = (
    ("journal", "verify"),
    ("journal", "check"),
    ("journal", "info"),
    ("sessions",),
    ("sql", "SELECT * FROM fills"),
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="rights are those of Unix")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rights") / "exchange.db"
    play(path)
    for look in LOOKS:
        exchange(*look, "--db", path)  # so that everything is imported that is needed: a stranger may not even do that
    return path


@pytest.fixture
def path(made: Path) -> Iterator[Path]:
    """A journal in good order, in a folder that everybody may reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copy(made, folder / "exchange.db")
    yield folder / "exchange.db"
    folder.chmod(0o755)
    shutil.rmtree(folder)


def as_a_stranger(*arguments: object) -> tuple[int, str]:
    """Run `exchange ARGUMENTS` in a process without special rights: its exit code, and everything it said."""
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


@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
@pytest.mark.parametrize("look", LOOKS)
def test_a_journal_that_one_may_only_read(path: Path, look: tuple[str, ...], folder_mode: int) -> None:
    """In an open folder, files that SQLite puts there would be the reader's, and lock the exchange out."""
    close(path, folder_mode)
    before = path.read_bytes()
    exit_code, output = as_a_stranger(*look, "--db", path)
    assert exit_code == 0, output
    assert [file.name for file in path.parent.iterdir()] == ["exchange.db"]
    assert path.read_bytes() == before


def test_a_journal_that_somebody_else_is_writing(path: Path) -> None:
    """What is in the -wal is read as well."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO digests VALUES (400, 'mine', 'x')")
        for file in path.parent.iterdir():
            file.chmod(0o444)
        path.parent.chmod(0o555)
        exit_code, output = as_a_stranger("sql", "--csv", "SELECT digest FROM digests", "--db", path)
        assert (exit_code, output) == (0, "digest\nx\n")


def test_a_log_that_cannot_be_read_in_its_folder(path: Path) -> None:
    """A -wal that was copied without its -shm, which SQLite cannot make here: it is said what to do."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO digests VALUES (400, 'mine', 'x')")
        shutil.copy(f"{path}-wal", path.parent / "kept")
    (path.parent / "kept").replace(f"{path}-wal")
    close(path, 0o555)
    exit_code, output = as_a_stranger("journal", "verify", "--db", path)
    assert exit_code == 2
    assert "cannot be read here (unable to open database file): copy the journal" in output


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o000, 0o755), (0o644, 0o000)])
def test_a_journal_that_one_may_not_read(path: Path, file_mode: int, folder_mode: int) -> None:
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)
    for look in LOOKS:
        exit_code, output = as_a_stranger(*look, "--db", path)
        expected = 1 if file_mode and look not in (("journal", "verify"), ("journal", "check")) else 2
        assert (exit_code, str(path) in output, "Traceback" in output) == (expected, True, False), output
