"""The modes of new files: 0600 for all, or 0640 for a group; those with secrets stay closed; old files keep theirs."""

import os
from pathlib import Path

import pytest

from exchange.file_modes import more_open_files
from tests.cli_support import CLOCK_START, Server, complained, exchange, said

SECRETS = (".admin", ".keys", ".keys.lock", ".key-uses")


def modes(folder: Path) -> dict[str, str]:
    """The mode of each file and folder below `folder`, by its path there."""
    found = (file for file in folder.rglob("*") if file.suffix != ".stderr")
    return {str(file.relative_to(folder)): f"{file.stat().st_mode & 0o777:o}" for file in found}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "file", "directory"), [((), "600", "700"), (("--file-mode", "0640"), "640", "750")]
)
def test_new_files_of_a_server(tmp_path: Path, options: tuple[str, ...], file: str, directory: str) -> None:
    path = tmp_path / "data" / "exchange.db"
    path.parent.mkdir()
    with Server(path, "--demo", "--clock-start", CLOCK_START, *options) as server:
        assert exchange("account", "secret", "alice", "--db", path).exit_code == 0
        assert "order 1" in said(
            exchange("order", "buy", "SOL_USDC-28FEB26-150-C", 1, "1.50", "--user", "bob", "--db", path)
        )
        found = modes(path.parent)
        assert {"exchange.db", "exchange.db-wal", "exchange.db-shm", "exchange.db.lock", "exchange.db.admin"} <= set(
            found
        )
        while not (path.parent / "exchange.history.db-wal").exists():
            assert server.process.poll() is None
        assert server.stop()[0] == 0
        found |= modes(path.parent)
    assert any(name.startswith("exchange.db.snapshots/") for name in found)
    for name, mode in found.items():
        expected = (
            "600" if name.endswith(SECRETS) else directory if name.endswith((".snapshots", ".archives")) else file
        )
        assert mode == expected, name
    assert "other users can read" not in server.errors


def test_commands_make_closed_files_and_leave_the_umask_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o022)
    try:
        said(exchange("init", "--db", tmp_path / "new" / "a.db"))
        said(exchange("--file-mode", "0640", "init", "--db", tmp_path / "group" / "a.db"))
        monkeypatch.setenv("EXCHANGE_FILE_MODE", "0644")
        said(exchange("init", "--db", tmp_path / "all" / "a.db"))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    found = modes(tmp_path)
    assert [found[f"{name}/a.db"] for name in ("new", "group", "all")] == ["600", "640", "644"]
    assert [found[name] for name in ("new", "group", "all")] == ["700", "750", "755"]
    assert {found[f"{name}/a.db.admin"] for name in ("new", "group", "all")} == {"600"}
    assert "'0666' is not one of" in complained(exchange("--file-mode", "0666", "init"), 2)


@pytest.mark.slow
def test_old_files_keep_their_mode_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    said(exchange("init", "--db", path))
    path.chmod(0o644)
    with Server(path) as server:
        assert f"other users can read or write {path} (mode 0644)" in server.errors
        # What SQLite makes beside the journal is as open as the journal is.
        assert modes(tmp_path)["exchange.db-wal"] == "644"
        server.stop()
    assert modes(tmp_path)["exchange.db"] == "644"


def test_all_files_of_a_journal_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a[1].db"
    beside = ("a[1].db", "a[1].db-wal", "a[1].history.db", "a[1].db.snapshots/1", "a[1].db.archives/1.archive")
    for name in (*beside, "a1.db", "b.db", "a[1]b.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(0o600)
    previous = os.umask(0o077)
    try:
        assert more_open_files(path) == []
        for file in tmp_path.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o604)
        # The name of `-wal` begins with that of the journal, and so does that of another journal.
        assert {str(file.relative_to(tmp_path)) for file in more_open_files(path)} == set(beside)
        os.umask(0o027)
        for file in tmp_path.rglob("*.db"):
            file.chmod(0o640)
        assert path not in more_open_files(path)
    finally:
        os.umask(previous)
