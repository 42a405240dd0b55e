"""`exchange account secret`, `secrets` and `revoke`, `--key-file`, and the user ids of new accounts."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from exchange.client import ExchangeError, connect, read_client_key
from exchange.keys.account_ids import AccountIds
from exchange.keys.client_key import ClientKey
from exchange.keys.key_file import key_path, read_keys
from exchange.runtime.server_settings import admin_secret_file
from tests.cli_support import CALL, Server, complained, exchange, said, said_json
from tests.fake_exchange import FakeExchange
from tests.wire import INSTRUMENT, request
from tests.wire import exchange as running_exchange

# Commands


def test_a_key_is_shown_once(tmp_path: Path) -> None:
    path, out = tmp_path / "exchange.db", tmp_path / "alice.key"
    shown = said(exchange("account", "secret", "alice", "--rights", "read", "--expires-in", "90d", "--db", path))
    lines = dict(re.split(r"  +", line) for line in shown.splitlines()[:4])
    assert re.fullmatch(r"alice:[0-9a-f]{8}", lines["client id"])
    assert len(lines["client secret"]) == 43 and lines["rights"] == "read"
    made = said_json(exchange("account", "secret", "alice", "--out", out, "--url", "wss://x/", "--json", "--db", path))
    assert (made["client_secret"], made["rights"], made["expires_us"], made["file"]) == (None, "trade", None, str(out))
    assert out.stat().st_mode & 0o777 == 0o600
    assert read_client_key(out) == ClientKey(made["client_id"], read_keys(path)[1].secret, "wss://x/")
    listed = said(exchange("account", "secrets", "--db", path))
    assert lines["client id"] in listed and made["client_id"] in listed
    fields = said_json(exchange("account", "secrets", "alice", "--json", "--db", path))
    assert [one["state"] for one in fields] == ["valid", "valid"] and fields[0]["last_use_us"] is None
    for text in (listed, json.dumps(fields)):
        assert not any(key.secret in text for key in read_keys(path))
    assert "bob has no key" in said(exchange("account", "secrets", "bob", "--db", path))
    assert f"{out} exists" in complained(exchange("account", "secret", "bob", "--out", out, "--db", path), 2)
    assert len(read_keys(path)) == 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("Admin",), "'Admin' looks like 'admin'"),
        (("fees",), "'fees' is an account of the exchange itself"),
        (("alice:00000000",), "not a user name"),
        (("alice", "--expires", "2020-01-01"), "is in the past"),
        (("alice", "--expires", "2040-01-01", "--expires-in", "1d"), "contradict each other"),
        (("alice", "--url", "wss://x/"), "--url needs --out"),
        (("alice", "--rights", "all"), "'all' is not one of"),
    ],
)
def test_a_wrong_key_is_refused(tmp_path: Path, arguments: tuple[str, ...], error: str) -> None:
    assert error in complained(exchange("account", "secret", *arguments, "--db", tmp_path / "exchange.db"), 2)
    assert not key_path(tmp_path / "exchange.db").exists()


def test_revoked_keys_keep_the_account_closed_unless_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    first, second = (said_json(exchange("account", "secret", "alice", "--json", "--db", path)) for _ in range(2))
    client_id = first["client_id"]
    assert said(exchange("account", "revoke", client_id, "--open", "--db", path)) == f"{client_id} is revoked\n"
    assert [key.revoked_us is None for key in read_keys(path)] == [False, True]
    assert said_json(exchange("account", "revoke", second["client_id"], "--json", "--db", path))["opened"] is False
    assert len(read_keys(path)) == 2
    assert "needs no key any more" in said(exchange("account", "revoke", client_id, "--open", "--db", path))
    assert read_keys(path) == []
    assert f"there is no key {client_id}" in complained(exchange("account", "revoke", client_id, "--db", path), 2)
    assert "not the client id of a key" in complained(exchange("account", "revoke", "alice", "--db", path), 2)


@pytest.mark.slow
def test_the_owner_acts_for_every_user_and_others_need_a_key(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    with Server(path, "--demo", "--clock-start", "2026-02-27T09:00:00Z", "--require-keys") as server:

        def buy(*options: object) -> Any:
            return exchange("order", "buy", CALL, 1, "1.50", *options, "--db", path)

        # As in the README.
        assert "order 1" in said(buy("--user", "alice"))
        for right in ("read", "trade", "admin"):
            said(exchange("account", "secret", "alice", "--rights", right, "--out", tmp_path / right, "--db", path))
        mistyped = exchange("account", "secret", "alcie", "--db", path)
        assert "there is no account 'alcie' yet" in mistyped.stderr
        assert "order 2" in said(buy("--user", "alice"))
        secret = admin_secret_file(path)
        secret.rename(tmp_path / "kept")
        error = complained(buy("--user", "alice"))
        assert "has a key" in error and "Use --key-file FILE, or run this as the owner of the journal" in error
        assert "opens no account without a key" in complained(buy("--user", "bob"))
        assert "Missing option '--user'" in complained(buy(), 2)
        assert "opens the account 'alice', not 'bob'" in complained(
            buy("--user", "bob", "--key-file", tmp_path / "trade"), 2
        )
        for right, works in (("read", False), ("trade", True), ("admin", True)):
            result = buy("--key-file", tmp_path / right)
            assert (result.exit_code == 0) == works, result.output
        assert "the right to read only" in complained(buy("--key-file", tmp_path / "read"))
        account = exchange("account", "show", "alice", "--key-file", tmp_path / "read", "--db", path)
        assert "alice" in said(account)
        deposit = ("admin", "deposit", "alice", 5, "--db", path, "--key-file")
        assert "error 1025" in complained(exchange(*deposit, tmp_path / "trade"))
        assert "alice has" in said(exchange(*deposit, tmp_path / "admin"))
        (tmp_path / "trade").chmod(0o644)
        assert "Run `chmod 600" in complained(buy("--key-file", tmp_path / "trade"), 2)
        (tmp_path / "kept").rename(secret)
        assert server.stop()[0] == 0
        listed = said_json(exchange("account", "secrets", "alice", "--json", "--db", path))
        assert all(one["last_use_us"] is not None for one in listed)


@pytest.mark.slow
def test_the_client_signs_with_a_key(tmp_path: Path) -> None:
    """After a break too: it cannot send the same signature again."""
    path = tmp_path / "exchange.db"
    said(exchange("account", "secret", "alice", "--out", tmp_path / "key", "--db", path))
    key = read_client_key(tmp_path / "key")

    async def conversation() -> None:
        async with running_exchange(path) as server:
            with pytest.raises(ExchangeError, match="'alice' has a key"):
                async with connect(server.url, "alice"):
                    pass
            async with connect(server.url, key.client_id, key.client_secret) as alice:
                assert (await alice.get_balance()).user_id == "alice"
            async with connect(server.url, key=key) as alice:
                await alice.buy(INSTRUMENT, 1_000, 1_500_000)
                assert alice._connection._socket is not None
                alice._connection._socket.transport.abort()
                assert len(await alice.get_open_orders()) == 1
                assert alice.reconnect_count == 1

    asyncio.run(conversation())


@pytest.mark.parametrize(
    "content", ["", "{}", '{"client_id":"alice","client_secret":"x"}', '{"client_id":"alice:00000000"}', "\x00"]
)
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content)
    file.chmod(0o600)
    error = complained(exchange("order", "list", "--key-file", file), 2)
    assert ("Invalid value for '--key-file'" in error and "expected" in error) or "restore it" in error
    assert "No such file" in complained(exchange("order", "list", "--key-file", tmp_path / "none"), 2)


# User ids


@pytest.mark.parametrize(
    ("user_id", "reserved"),
    [
        *(
            (name, "admin")
            for name in ("Admin", "ADMIN", "adm1n", "admln", "@dmin", "4dmin", "admin.", "-admin", "a_d_m_i_n")
        ),
        *((name, "admin") for name in ("adrnin", "AdMlN")),
        *((name, "fees") for name in ("Fees", "FEES", "fee5", "f33s", "fees_")),
        *((name, "insurance") for name in ("Insurance", "1nsurance", "lnsurance", "insur4nce", "in-surance")),
    ],
)
def test_what_looks_like_an_account_of_the_exchange_is_refused(user_id: str, reserved: str) -> None:
    assert f"looks like '{reserved}'" in (AccountIds().why_refused(user_id, [], 0) or "")


def test_one_account_has_one_canonical_id() -> None:
    ids, users = AccountIds(), {"alice": 0, "Bob": 0}
    assert ids.why_refused("carol", users, len(users)) is None
    assert ids.why_refused("administrator", users, len(users)) is None
    assert "differs from the account 'Bob' in upper and lower case alone" in (ids.why_refused("bob", users, 2) or "")
    users["carol"] = 0
    assert "use 'carol'" in (ids.why_refused("CAROL", users, len(users)) or "")
    # Another journal, as after a seek.
    assert ids.why_refused("Carol", ["dave"], 1) is None


def test_old_accounts_keep_their_ids_and_new_ones_are_checked() -> None:
    from exchange.domain.commands import OpenAccount

    async def conversation() -> None:
        fake = FakeExchange()
        await fake.start()
        for user_id in ("Admin", "alice", "Alice"):
            await fake.execute(OpenAccount(user_id, 0))
        for user_id, code in (
            *(("Admin", 0), ("alice", 0), ("Alice", 0), ("bob", 0)),
            *((name, -32602) for name in ("ALICE", "Bob", "adm1n", "fee5")),
            # The pattern of the parameter has no place for other alphabets, wide forms and control characters.
            *(
                (name, -32602)
                for name in (
                    "\u0430dmin",
                    "\uff41\uff44\uff4d\uff49\uff4e",
                    "admin\u200b",
                    "ad\x00min",
                    "admin\n",
                    "\u00aadmin",
                    "\uff41lice",
                )
            ),
        ):
            connection = fake.connect()
            connection.send(request("public/auth", grant_type="client_credentials", client_id=user_id))
            await fake.settle()
            answer = json.loads(connection.take()[0])
            assert answer.get("error", {"code": 0})["code"] == code, (user_id, answer)
        await fake.stop()

    asyncio.run(conversation())
