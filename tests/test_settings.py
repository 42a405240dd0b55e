"""The administrator's secret: never empty, never half, readable by its owner only."""

from pathlib import Path

from exchange.runtime.server_settings import admin_secret, admin_secret_file


def test_the_secret_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    secret = admin_secret(path)
    assert len(secret) >= 32
    assert admin_secret(path) == secret
    assert admin_secret_file(path).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["exchange.db.admin"]


def test_an_empty_secret_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    admin_secret_file(path).touch()
    assert len(admin_secret(path)) >= 32
