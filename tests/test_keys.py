"""Keys: which account a secret or a signature opens, what a key may do, and how failed attempts are slowed down."""

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.gateway.methods import METHODS
from exchange.keys.credentials import Credentials, CredentialsError, SignedRequest
from exchange.keys.key import ADMIN, READ, TRADE, Key, Right, new_key
from exchange.keys.key_file import KeyFileError, change_keys, key_path, read_keys, read_uses, uses_path
from exchange.keys.nonces import NONCES_MAX, WINDOW_MS, UsedNonces
from exchange.keys.signature import signature_of
from exchange.keys.throttle import PAIRS_MAX, WAIT_SECONDS_MAX, Throttle
from tests.fake_exchange import ADMIN_SECRET, START_US, Connection, FakeExchange
from tests.wire import request

US = 1_000_000


class Clock:
    """The system's clock, as a test sets it."""

    def __init__(self) -> None:
        self.us = START_US

    def __call__(self) -> int:
        return self.us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


def add_key(path: Path, user_id: str, right: Right = "trade", expires_us: int | None = None) -> Key:
    key = new_key(user_id, right, START_US, expires_us)
    change_keys(path, lambda keys: [*keys, key])
    return key


def why_refused(credentials: Credentials, client_id: str, secret: str | None) -> str:
    with pytest.raises(CredentialsError) as refused:
        credentials.log_in(client_id, secret)
    return str(refused.value)


def signed(key: Key, timestamp_ms: int, nonce: str = "n", data: str = "") -> SignedRequest:
    return SignedRequest(timestamp_ms, nonce, data, signature_of(key.secret, timestamp_ms, nonce, data))


def why_signature_refused(credentials: Credentials, client_id: str, request: SignedRequest) -> str:
    with pytest.raises(CredentialsError) as refused:
        credentials.log_in_signed(client_id, request)
    return str(refused.value)


# Secrets


def test_a_key_opens_its_account_and_no_other(path: Path) -> None:
    first, second, of_bob = add_key(path, "alice"), add_key(path, "alice", "read"), add_key(path, "bob")
    credentials = Credentials(path)
    assert len(first.secret) >= 43 and first.secret != second.secret
    assert credentials.log_in(first.client_id, first.secret)[:2] == ("alice", TRADE)
    assert credentials.log_in(second.client_id, second.secret)[:2] == ("alice", READ)
    # The user id with any of its secrets is as good as the client id.
    assert credentials.log_in("alice", second.secret)[:2] == ("alice", READ)
    wrong = "wrong client_id or client_secret"
    for client_id in (first.client_id, "alice"):
        for secret in (of_bob.secret, second.secret[:-1], "", "é", ADMIN_SECRET):
            assert why_refused(credentials, client_id, secret) == wrong
    assert why_refused(credentials, first.client_id, second.secret) == wrong
    assert why_refused(credentials, first.client_id, None) == wrong
    assert why_refused(credentials, "alice:00000000", first.secret) == wrong
    assert why_refused(credentials, "alice", None) == "'alice' has a key: log in with its client_id and client_secret"


def test_an_account_without_keys_is_open_unless_all_need_one(path: Path) -> None:
    add_key(path, "alice")
    assert Credentials(path).log_in("carol", None)[:2] == ("carol", TRADE)
    demanding = Credentials(path, needs_keys=True)
    assert "opens no account without a key, and 'carol' has none" in why_refused(demanding, "carol", None)


def test_the_administrators_secret_opens_every_account(path: Path) -> None:
    add_key(path, "alice")
    credentials = Credentials(path, ADMIN_SECRET, needs_keys=True)
    assert credentials.log_in("alice", ADMIN_SECRET)[:2] == ("alice", TRADE)
    assert credentials.log_in("carol", ADMIN_SECRET)[:2] == ("carol", TRADE)
    assert credentials.log_in("admin", ADMIN_SECRET)[:2] == ("admin", ADMIN)
    for open_to_all in (Credentials(path), Credentials(path, "")):
        for secret in (None, "", ADMIN_SECRET):
            assert "JOURNAL.admin" in why_refused(open_to_all, "admin", secret)


def test_a_key_of_the_administrator(path: Path) -> None:
    key = add_key(path, "admin", "admin")
    credentials = Credentials(path, ADMIN_SECRET)
    assert credentials.log_in("admin", key.secret)[:2] == ("admin", ADMIN)
    assert credentials.log_in("admin", ADMIN_SECRET)[:2] == ("admin", ADMIN)


def test_an_expired_or_revoked_key_opens_nothing_and_its_account_stays_closed(path: Path, clock: Clock) -> None:
    key = add_key(path, "alice", expires_us=START_US + US)
    credentials = Credentials(path, now_us=clock)
    login = credentials.log_in(key.client_id, key.secret)
    assert credentials.why_ended(login) is None
    clock.us += US
    assert credentials.why_ended(login) == f"the key {key.client_id} is expired"
    assert "is expired: use another one" in why_refused(credentials, key.client_id, key.secret)
    # The reason tells something about the key, and so only its owner gets it.
    assert why_refused(credentials, key.client_id, "a guess") == "wrong client_id or client_secret"
    change_keys(path, lambda keys: [one.revoked(clock.us) for one in keys])
    assert key.secret not in key_path(path).read_text()
    credentials.refresh()
    assert credentials.why_ended(login) == f"the key {key.client_id} is revoked"
    for secret in (key.secret, "", None, "x" * 43):
        assert why_refused(credentials, key.client_id, secret) == "wrong client_id or client_secret"
    assert "has a key" in why_refused(credentials, "alice", None)


def test_keys_change_while_the_exchange_runs(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    credentials = Credentials(path, ADMIN_SECRET)
    free, owner = credentials.log_in("alice", None), credentials.log_in("alice", ADMIN_SECRET)
    key = add_key(path, "alice")
    credentials.refresh()
    assert credentials.why_ended(free) == "alice has a key now: log in with it"
    assert credentials.why_ended(owner) is None
    keyed = credentials.log_in(key.client_id, key.secret)
    # A file that is gone or damaged must not open an account.
    content = key_path(path).read_bytes()
    for break_file in (
        key_path(path).unlink,
        lambda: key_path(path).write_bytes(b"{"),
        lambda: key_path(path).chmod(0o644),
    ):
        break_file()
        caplog.clear()
        credentials.refresh()
        credentials.refresh()
        assert len(caplog.records) == 1 and caplog.records[0].levelno == logging.WARNING
        assert credentials.why_ended(keyed) is None
        assert "has a key" in why_refused(credentials, "alice", None)
        key_path(path).write_bytes(content)
        key_path(path).chmod(0o600)
        credentials.refresh()
    change_keys(path, lambda keys: [])
    credentials.refresh()
    assert credentials.why_ended(keyed) == f"the key {key.client_id} is revoked"
    assert credentials.log_in("alice", None).level == TRADE


def test_last_uses_survive_a_restart(path: Path, clock: Clock) -> None:
    key = add_key(path, "alice")
    credentials = Credentials(path, now_us=clock)
    credentials.refresh()
    assert not uses_path(path).exists()
    credentials.log_in(key.client_id, key.secret)
    credentials.save()
    clock.us += US
    again = Credentials(path, now_us=clock)
    again.save()
    assert read_uses(path) == {key.client_id: START_US}
    again.log_in_signed(key.client_id, signed(key, clock.us // 1_000 + 1))
    again.refresh()
    assert read_uses(path) == {key.client_id: START_US + US}
    uses_path(path).write_text("[")
    assert read_uses(path) == {}


# The files


def test_the_files_are_readable_by_their_owner_only(path: Path) -> None:
    previous = os.umask(0)
    try:
        key = add_key(path, "alice")
        credentials = Credentials(path)
        credentials.log_in(key.client_id, key.secret)
        credentials.save()
    finally:
        os.umask(previous)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {f"exchange.db.{end}": 0o600 for end in ("keys", "keys.lock", "key-uses")}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o620])
def test_a_key_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    add_key(path, "alice")
    key_path(path).chmod(mode)
    with pytest.raises(KeyFileError, match=rf"has mode {mode:04o}: .* Run `chmod 600 {key_path(path)}`"):
        Credentials(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\x00\x01",
        "ключ".encode(),
        b'{"keys":[{"client_id":"alice:00000000","secret":"short","right":"trade","created_us":1}]}',
        b'{"keys":[{"client_id":"alice:00000000","secret":"","right":"trade","created_us":1}]}',
        b'{"keys":[{"client_id":"alice:00000000","secret":"long enough, surely","right":"all","created_us":1}]}',
    ],
)
def test_a_damaged_key_file_is_refused(path: Path, content: bytes) -> None:
    key_path(path).write_bytes(content)
    key_path(path).chmod(0o600)
    with pytest.raises(KeyFileError, match="restore it from a backup"):
        Credentials(path)


@pytest.mark.slow
def test_changes_at_the_same_time_are_all_kept(path: Path) -> None:
    threads = [threading.Thread(target=add_key, args=(path, f"user-{n}")) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key.user_id for key in read_keys(path)) == sorted(f"user-{n}" for n in range(20))


# Signatures


def test_the_signature_is_that_of_deribit() -> None:
    """Computed with `printf '1576074319000\\n1iqt2wls\\n' | openssl dgst -sha256 -hmac AMANDASECRECT`."""
    expected = "56590594f97921b09b18f166befe0d1319b198bbcdad7ca73382de2f88fe9aa1"
    assert signature_of("AMANDASECRECT", 1_576_074_319_000, "1iqt2wls") == expected


def test_a_signature_opens_the_account_once(path: Path, clock: Clock) -> None:
    key, other = add_key(path, "alice", "read"), add_key(path, "bob")
    credentials = Credentials(path, ADMIN_SECRET, now_us=clock)
    now_ms = clock.us // 1_000 + 1
    genuine = signed(key, now_ms, "one", "data")
    wrong = "wrong client_id or signature"
    for changed in (
        genuine._replace(timestamp_ms=now_ms + 1),
        genuine._replace(nonce="two"),
        genuine._replace(data=""),
        genuine._replace(signature=""),
        genuine._replace(signature=genuine.signature.upper()),
        genuine._replace(signature="é"),
        signed(other, now_ms, "one", "data"),
    ):
        assert wrong in why_signature_refused(credentials, key.client_id, changed)
    assert wrong in why_signature_refused(credentials, other.client_id, genuine)
    assert wrong in why_signature_refused(credentials, "alice:00000000", genuine)
    assert "needs the client id of a key" in why_signature_refused(credentials, "alice", genuine)
    assert credentials.log_in_signed(key.client_id, genuine)[:2] == ("alice", READ)
    assert "nonce was used already" in why_signature_refused(credentials, key.client_id, genuine)
    again = signed(key, now_ms + 1, "one")
    assert "nonce was used already" in why_signature_refused(credentials, key.client_id, again)
    # Another key may use the same nonce.
    assert credentials.log_in_signed(other.client_id, signed(other, now_ms, "one")).user_id == "bob"


def test_a_signature_fits_no_other_nonce(path: Path, clock: Clock) -> None:
    """Time, nonce and data are joined by line feeds: a nonce with one could take lines of the data into it."""
    key = add_key(path, "alice")
    credentials = Credentials(path, now_us=clock)
    genuine = signed(key, clock.us // 1_000 + 1, "one", "two\nthree")
    assert credentials.log_in_signed(key.client_id, genuine).user_id == "alice"
    again = genuine._replace(nonce="one\ntwo", data="three")
    assert again.signature == signed(key, *again[:3]).signature
    assert "without a line feed" in why_signature_refused(credentials, key.client_id, again)


def test_a_signature_is_valid_for_a_minute_and_never_after_a_restart(path: Path, clock: Clock) -> None:
    key = add_key(path, "alice")
    credentials = Credentials(path, now_us=clock)
    start_ms = clock.us // 1_000
    clock.us += 1_000 * 2 * WINDOW_MS
    now_ms = clock.us // 1_000
    for offset_ms in (-WINDOW_MS - 1, WINDOW_MS + 1):
        late = signed(key, now_ms + offset_ms)
        assert "60 seconds away from the clock" in why_signature_refused(credentials, key.client_id, late)
    used = [signed(key, now_ms + offset_ms, f"{offset_ms}") for offset_ms in (-WINDOW_MS, 0, WINDOW_MS)]
    for one in used:
        credentials.log_in_signed(key.client_id, one)
    # No moment accepts one of them again: not while it is in the window, not later, not when the clock is set back.
    for _ in range(8):
        clock.us += 1_000 * WINDOW_MS // 2
        credentials.log_in_signed(key.client_id, signed(key, clock.us // 1_000, f"at {clock.us}"))
        for one in used:
            why_signature_refused(credentials, key.client_id, one)
    clock.us = 1_000 * now_ms
    for one in used:
        why_signature_refused(credentials, key.client_id, one)
    restarted = Credentials(path, now_us=clock)
    for one in used[:2]:
        assert "before the exchange started" in why_signature_refused(restarted, key.client_id, one)
    assert start_ms < now_ms


def test_the_memory_of_nonces_is_bounded() -> None:
    nonces = UsedNonces(0)
    for n in range(NONCES_MAX):
        assert nonces.why_refused("a", 1, f"{n}", 1) is None
    assert "wait and sign again" in (nonces.why_refused("a", 1, "more", 1) or "")
    assert nonces.why_refused("b", 1, "more", 1) is None
    later = 1 + 2 * WINDOW_MS + 1
    assert nonces.why_refused("a", later, "more", later) is None
    assert len(nonces._in_order) == 1 and list(nonces._used) == ["a"]


# Failed attempts


def test_failures_make_one_account_wait_for_one_address() -> None:
    throttle = Throttle()
    waits = []
    for _ in range(12):
        throttle.failed("alice", "192.0.2.1", 0.0)
        waits.append(throttle.wait_seconds("alice", "192.0.2.1", 0.0))
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0] and waits[-1] == WAIT_SECONDS_MAX
    assert throttle.wait_seconds("alice", "192.0.2.2", 0.0) == throttle.wait_seconds("bob", "192.0.2.1", 0.0) == 0
    assert throttle.wait_seconds("alice", "192.0.2.1", WAIT_SECONDS_MAX) == 0
    throttle.succeeded("alice", "192.0.2.1")
    throttle.failed("alice", "192.0.2.1", 0.0)
    assert throttle.wait_seconds("alice", "192.0.2.1", 0.0) == 1
    throttle.failed("alice", "2001:db8::1", 0.0)
    assert throttle.wait_seconds("alice", "2001:db8::ffff", 0.0) == 1
    for address in ("127.0.0.1", "127.8.8.8", "::1", ""):
        throttle.failed("alice", address, 0.0)
        assert throttle.wait_seconds("alice", address, 0.0) == 0
    for n in range(PAIRS_MAX + 10):
        throttle.failed(f"user-{n}", "192.0.2.1", 0.0)
    assert len(throttle._failures) == PAIRS_MAX


# On a connection


@pytest.fixture
def keys(path: Path) -> dict[str, Key]:
    return {right: add_key(path, "alice", right) for right in ("read", "trade", "admin")}


def converse(path: Path, use: Callable[[FakeExchange], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def run() -> None:
        exchange = FakeExchange()
        exchange.credentials = Credentials(path, ADMIN_SECRET, **settings)
        await exchange.start()
        await use(exchange)
        await exchange.stop()

    asyncio.run(run())


async def ask(exchange: FakeExchange, connection: Connection, method: str, **params: Any) -> Any:
    connection.take()
    connection.send(request(method, **params))
    await exchange.settle()
    return json.loads(connection.take()[0])


async def log_in(exchange: FakeExchange, connection: Connection, client_id: str, secret: str | None) -> Any:
    auth = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    return await ask(exchange, connection, "public/auth", **auth)


def code_of(answer: Any) -> int | None:
    return answer["error"]["code"] if "error" in answer else None


def test_each_method_needs_its_right(path: Path, keys: dict[str, Key]) -> None:
    """Parameters that are wrong do not matter: the right is checked before the method, after the parameters."""
    may = {"read": ("read",), "trade": ("read", "trade"), "admin": ("read", "trade", "admin")}

    async def use(exchange: FakeExchange) -> None:
        for right, key in keys.items():
            connection = exchange.connect()
            assert (await log_in(exchange, connection, key.client_id, key.secret))["result"] == {
                "user_id": "alice",
                "right": right,
            }
            for method, params, needed in (
                ("private/get_balance", {}, "read"),
                ("private/get_open_orders", {}, "read"),
                ("private/cancel_all", {}, "trade"),
                ("private/enable_cancel_on_disconnect", {}, "trade"),
                ("private/buy", {"instrument_id": "SOL_USDC-28FEB26-150-C", "amount": 1, "dry_run": True}, "trade"),
                ("admin/get_accounts", {}, "admin"),
                ("admin/halt", {}, "admin"),
                ("admin/end_halt", {}, "admin"),
            ):
                answer = await ask(exchange, connection, method, **params)
                assert (code_of(answer) == 1025) == (needed not in may[right]), (right, method, answer)

    converse(path, use)


def test_the_right_of_a_method_follows_from_what_it_does() -> None:
    for name, method in METHODS.items():
        kind = name.partition("/")[0]
        if kind in ("public", "rpc.discover"):
            assert method.level == 0
        elif kind == "admin":
            assert method.level == ADMIN
        else:
            reads = name.startswith("private/get_") or name in (
                "private/explain_order",
                "private/simulate",
                "private/what_if",
            )
            assert method.level == (READ if reads else TRADE), name


def test_no_method_enters_an_account_with_a_key(path: Path, keys: dict[str, Key]) -> None:
    async def use(exchange: FakeExchange) -> None:
        connection = exchange.connect()
        for client_id in ("alice", keys["read"].client_id):
            for extra in ({}, {"client_secret": ""}, {"client_secret": "x" * 43}):
                auth = {"grant_type": "client_credentials", "client_id": client_id} | extra
                assert code_of(await ask(exchange, connection, "public/auth", **auth)) == 1020
                connection = exchange.connect()
        for method in ("private/get_balance", "private/cancel_all", "admin/get_accounts"):
            assert code_of(await ask(exchange, connection, method)) == 1001
        channels = {"channels": ["user.orders"]}
        assert code_of(await ask(exchange, connection, "public/subscribe", **channels)) == 1001
        # A key of another account opens no second one on a connection.
        assert (await log_in(exchange, connection, "bob", None))["result"] == {"user_id": "bob"}
        assert code_of(await log_in(exchange, connection, keys["trade"].client_id, keys["trade"].secret)) == 1020
        assert (await ask(exchange, connection, "private/get_balance"))["result"]["user_id"] == "bob"

    converse(path, use)


def test_a_signature_on_a_connection(path: Path, keys: dict[str, Key], clock: Clock) -> None:
    async def use(exchange: FakeExchange) -> None:
        connection, key = exchange.connect(), keys["trade"]
        timestamp, nonce, _, signature = signed(key, START_US // 1_000 + 5)
        auth = {"grant_type": "client_signature", "client_id": key.client_id, "timestamp": timestamp, "nonce": nonce}
        answer = await ask(exchange, connection, "public/auth", **auth)
        assert (code_of(answer), answer["error"]["data"]["param"]) == (-32602, "signature")
        answer = await ask(exchange, connection, "public/auth", **auth, signature=signature)
        assert answer["result"] == {"user_id": "alice", "right": "trade"}
        answer = await ask(exchange, exchange.connect(), "public/auth", **auth, signature=signature)
        assert code_of(answer) == 1020

    converse(path, use, now_us=clock)


def test_five_failures_close_a_connection_that_is_not_logged_in(path: Path, keys: dict[str, Key]) -> None:
    async def use(exchange: FakeExchange) -> None:
        stranger, alice, key = exchange.connect(), exchange.connect(), keys["trade"]
        await log_in(exchange, alice, key.client_id, key.secret)
        for n in range(5):
            assert not stranger.reasons and not alice.reasons
            for connection in (stranger, alice):
                assert code_of(await log_in(exchange, connection, key.client_id, f"guess {n}")) == 1020
        assert stranger.reasons == ["5 attempts to log in have failed on this connection"]
        # What came with the fifth attempt is not checked any more.
        assert code_of(await log_in(exchange, stranger, key.client_id, key.secret)) == 1020
        assert not alice.reasons
        assert "result" in await ask(exchange, alice, "private/get_balance")

    converse(path, use)


def test_an_address_that_failed_has_to_wait(path: Path, keys: dict[str, Key]) -> None:
    async def use(exchange: FakeExchange) -> None:
        far, same, other = exchange.connect(), exchange.connect(), exchange.connect()
        for connection, address in ((far, "192.0.2.1"), (same, "192.0.2.1"), (other, "192.0.2.2")):
            connection.session._caller.address = address
        key = keys["trade"]
        await log_in(exchange, far, key.client_id, "a guess")
        for client_id in (key.client_id, keys["read"].client_id, "alice"):
            answer = await log_in(exchange, same, client_id, key.secret)
            assert code_of(answer) == 1007 and 0 < answer["error"]["data"]["retry_after_ms"] <= 1_000
        assert "result" in await log_in(exchange, other, key.client_id, key.secret)
        assert "result" in await log_in(exchange, same, "bob", None)

    converse(path, use)


def test_a_revoked_key_ends_its_connections(path: Path, keys: dict[str, Key]) -> None:
    async def use(exchange: FakeExchange) -> None:
        reader, trader, bob = exchange.connect(), exchange.connect(), exchange.connect()
        await log_in(exchange, reader, keys["read"].client_id, keys["read"].secret)
        await log_in(exchange, trader, keys["trade"].client_id, keys["trade"].secret)
        await log_in(exchange, bob, "bob", None)
        revoked = keys["read"].client_id
        change_keys(path, lambda all_keys: [one.revoked(1) if one.client_id == revoked else one for one in all_keys])
        add_key(path, "bob")
        exchange.credentials.refresh()
        for connection in (reader, trader, bob):
            connection.session.on_tick()
        assert reader.reasons == [f"the key {revoked} is revoked"]
        assert trader.reasons == []
        assert bob.reasons == ["bob has a key now: log in with it"]

    converse(path, use)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.getLogger("exchange.keys.credentials").setLevel(logging.WARNING)
    yield
