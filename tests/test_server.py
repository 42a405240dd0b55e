"""Real sockets: the exchange answers clients that keep the protocol, and closes connections that break it."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.domain.units import CLIENT_ORDER_ID_MAX
from exchange.engine.recovery import recover
from exchange.gateway import limits, socket_connection, turns
from exchange.gateway import server as gateway_server
from exchange.gateway.limits import FRAGMENTS_MAX, FRAME_MAX, IN_FLIGHT_MAX, INSTRUMENT_ID_MAX, UNSENT_MAX
from exchange.journal.errors import JournalBrokenError
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import Head, Record, chain
from exchange.journal.sqlite_writer import SqliteJournalWriter
from exchange.runtime import node
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.node import DRY_RUN_US, serve
from exchange.runtime.server_settings import ServerSettings
from tests.wire import (
    BINARY,
    CLOSE,
    CONT,
    INSTRUMENT,
    PING,
    PONG,
    TEXT,
    Closed,
    Frame,
    Server,
    Wire,
    exchange,
    frame_bytes,
    request,
    unread_of,
)

LOOPS = ["asyncio", "uvloop"]
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(autouse=True)
def garbage_collector_as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a conversation to its end, on either event loop."""
    new_loop = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else None

    def run_on_loop(conversation: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(conversation)

    return run_on_loop


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


def assert_in_order(answers: list[Any]) -> None:
    assert [answer["id"] for answer in answers] == list(range(len(answers)))


@pytest.mark.slow
def test_a_message_may_come_in_fragments(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            text = '{"jsonrpc":"2.0","id":"ünï","method":"public/test"}'.encode()
            # Inside a character.
            middle = text.index(b"\xc3") + 1
            alice.lawyer.sent(text)
            for part in (frame_bytes(TEXT, text[:middle], fin=False), frame_bytes(PING, b"now?")):
                alice.writer.write(part)
            rest = frame_bytes(CONT, b"", fin=False) + frame_bytes(CONT, text[middle:])
            for n in range(len(rest)):
                alice.writer.write(rest[n : n + 1])
            assert await alice.frame() == Frame(PONG, b"now?")
            assert (await alice.text())["id"] == "ünï"
            alice.writer.write(frame_bytes(PONG, b"unasked"))
            await server_still_answers(server)

    run(conversation())


@pytest.mark.slow
def test_the_longest_message_is_answered(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.connect()
            text = request("public/test") + " " * (FRAME_MAX - len(request("public/test")))
            assert len(text) == FRAME_MAX
            alice.send(text)
            assert (await alice.text())["result"]
            alice.lawyer.sent(text.encode())
            size = FRAME_MAX // (FRAGMENTS_MAX - 1)
            for start in range(0, FRAME_MAX, size):
                is_last = start + size >= FRAME_MAX
                opcode = CONT if start else TEXT
                alice.writer.write(frame_bytes(opcode, text[start : start + size].encode(), fin=is_last))
            assert (await alice.text())["result"]

    run(conversation())


GOOD = request("public/test").encode()
WRONG_FRAMES = {
    "binary": (frame_bytes(BINARY, GOOD), 1003),
    "binary, then text, which is ignored": (frame_bytes(BINARY, GOOD) + frame_bytes(TEXT, GOOD), 1003),
    "binary, in fragments": (frame_bytes(BINARY, GOOD[:9], fin=False) + frame_bytes(CONT, GOOD[9:]), 1003),
    "too large": (frame_bytes(TEXT, b" " * (FRAME_MAX + 1)), 1009),
    "too large, only announced": (frame_bytes(TEXT, b" " * (FRAME_MAX + 1))[:14], 1009),
    "too large, in fragments": (
        frame_bytes(TEXT, b" " * FRAME_MAX, fin=False) + frame_bytes(CONT, b" ", fin=False),
        1009,
    ),
    "too many fragments": (
        frame_bytes(TEXT, b"", fin=False) + frame_bytes(CONT, b"", fin=False) * FRAGMENTS_MAX,
        1009,
    ),
    "not UTF-8": (frame_bytes(TEXT, b'"\xff"'), 1007),
    "not UTF-8: a surrogate": (frame_bytes(TEXT, b'"\xed\xa0\x80"'), 1007),
    "not UTF-8: cut off": (frame_bytes(TEXT, b"\xc3", fin=False) + frame_bytes(CONT, b"x"), 1007),
    "not masked": (frame_bytes(TEXT, GOOD, masked=False), 1002),
    "a reserved bit": (frame_bytes(TEXT, GOOD, reserved=4), 1002),
    "an unknown opcode": (frame_bytes(0x3, GOOD), 1002),
    "an end without a beginning": (frame_bytes(CONT, GOOD), 1002),
    "a beginning in the middle": (frame_bytes(TEXT, GOOD, fin=False) + frame_bytes(TEXT, GOOD), 1002),
    "a ping in fragments": (frame_bytes(PING, b"", fin=False), 1002),
    "a ping too large": (frame_bytes(PING, b"x" * 126), 1002),
    "a close of one byte": (frame_bytes(CLOSE, b"x"), 1002),
    "a close with a code that may not be sent": (frame_bytes(CLOSE, (1006).to_bytes(2)), 1002),
    "a close": (frame_bytes(CLOSE, (1000).to_bytes(2) + b"bye"), 1000),
    "a close without a code": (frame_bytes(CLOSE, b""), 1005),
    "a close in the middle of a message": (
        frame_bytes(TEXT, GOOD[:9], fin=False) + frame_bytes(CLOSE, (1000).to_bytes(2)) + frame_bytes(BINARY, b"after"),
        1000,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_a_wrong_frame_closes_the_connection(run: Run, db: Path, name: str) -> None:
    async def conversation() -> None:
        data, code = WRONG_FRAMES[name]
        async with exchange(db) as server:
            alice = await server.connect()
            alice.writer.write(data)
            with pytest.raises(Closed) as closed:
                await alice.frame()
            assert closed.value.code == code
            assert await alice.reader.read() == b""
            await server_still_answers(server)

    run(conversation())


WRONG_HANDSHAKES = {
    "another path": (b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"HTTP/1.1 404 "),
    "no path": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 404 "),
    "a path that goes up": (b"GET /../ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"HTTP/1.1 404 "),
    "no upgrade": (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 "),
    "not a GET": (
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 405 ",
    ),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"HTTP/1.1 400 "),
    "garbage": (bytes(range(256)) * 64 + b"\r\n", b"HTTP/1.1 400 "),
    "JSON": (GOOD + b"\r\n", b"HTTP/1.1 400 "),
    "a line without end": (b"GET /" + b"a" * 100_000, b"HTTP/1.1 414 "),
    "a header without end": (b"GET / HTTP/1.1\r\nA: " + b"a" * 100_000, b"HTTP/1.1 431 "),
    "too many headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1_000, b"HTTP/1.1 431 "),
    "too old a version": (
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
        b"HTTP/1.1 400 ",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG_HANDSHAKES)
def test_a_wrong_handshake_is_refused(run: Run, db: Path, name: str) -> None:
    async def conversation() -> None:
        data, head = WRONG_HANDSHAKES[name]
        async with exchange(db) as server:
            stranger = await server.dial()
            stranger.writer.write(data.replace(b"Host: a", f"Host: {stranger.host}".encode()))
            try:
                answer = await stranger.reader.read()
            except ConnectionError:
                # The server closed before it had read everything.
                answer = head
            assert answer.startswith(head) and answer.count(b"HTTP/1.1") == 1
            await server_still_answers(server)

    run(conversation())


@pytest.mark.slow
def test_a_query_after_the_path_is_ignored(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.dial()
            assert (await alice.shake_hands("/?user=alice")).startswith("HTTP/1.1 101 ")
            await alice.log_in("alice")

    run(conversation())


@pytest.mark.slow
def test_a_client_without_a_handshake_is_closed(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            server.node.gateway.limits = msgspec.structs.replace(server.node.limits, handshake_s=0)
            for beginning in (b"", b"GET / HTTP/1.1\r\nHos"):
                silent = await server.dial()
                silent.writer.write(beginning)
                assert await silent.closing() is None

    run(conversation())


@pytest.mark.slow
def test_a_client_that_closes_its_writing_side_is_closed(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            alice.send(request("private/buy", instrument_id=INSTRUMENT, price=1_500_000, amount=1_000))
            alice.writer.write_eof()
            assert await alice.closing() in (None, 1005, 1006)
            # Bob's account is opened by a command after alice's order.
            bob = await server.client("bob")
            book = await bob.ask("public/get_order_book", instrument_id=INSTRUMENT)
            assert book["result"]["bids"] == [{"price": 1_500_000, "size": 1_000, "count": 1}]

    run(conversation())


@pytest.mark.slow
def test_more_than_may_be_in_flight_is_answered_in_order(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            count = 2 * IN_FLIGHT_MAX
            for n in range(count):
                if n % 3:
                    alice.send(request("private/buy", n, instrument_id=INSTRUMENT, price=1_500_000, amount=100))
                else:
                    alice.send(request("private/get_balance", n))
            assert_in_order([await alice.text() for _ in range(count)])
            alice.lawyer.rest()

    run(conversation())


@pytest.mark.slow
def test_a_client_that_requests_more_than_it_reads_is_answered_as_it_reads(
    run: Run, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It requests many times UNSENT_MAX at once. The connection stays open; not all answers are prepared at once."""
    monkeypatch.setattr(socket_connection, "OUTBOX_MAX", 2 * UNSENT_MAX)

    async def conversation() -> None:
        async with exchange(db, demo=True, rules=DEMO_RULES) as server:
            asker = await server.connect(receive_buffer=4_096)
            for number in range(700):
                asker.send(request("public/get_instruments", number))
            size = 0
            for number in range(700):
                answer = await asker.text()
                size += len(str(answer))
                assert answer["id"] == number
            assert size > 4 * UNSENT_MAX
            await asker.hang_up()

    run(conversation())


@pytest.mark.slow
def test_a_client_with_many_requests_does_not_delay_others(run: Run, db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer ends the turn of a connection, so that others get theirs in between, also for commands."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)

    async def conversation() -> None:
        async with exchange(db) as server:
            bob, asker = await server.client("bob"), await server.client("alice")
            # So many that an order is durable before all of them are answered, on any machine.
            count = 40 * IN_FLIGHT_MAX
            for number in range(count):
                asker.send(request("public/get_time", number))
            await asker.text()
            await bob.buy()
            connections = list(server.node.gateway._connections)
            assert any(one.unanswered or unread_of(one) for one in connections), (
                "bob had to wait until everything was answered"
            )
            for number in range(1, count):
                assert (await asker.text())["id"] == number
            await asker.hang_up()

    run(conversation())


@pytest.mark.slow
def test_a_taken_address_leaves_no_files_behind(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            taken = int(server.url.rstrip("/").rpartition(":")[2])
            other = ServerSettings(db.with_name("other.db"), port=taken)
            with pytest.raises(OSError, match="in use"):
                await serve(other, _ignore, _ignore, _ignore, asyncio.Event())
        assert not list(db.parent.glob("other*"))

    run(conversation())


@pytest.mark.slow
def test_more_notifications_than_may_be_in_flight_do_not_stop_the_connection(run: Run, db: Path) -> None:
    """Notifications have no answers; the connection must still be read again."""

    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            order = request("private/buy", instrument_id=INSTRUMENT, price=1_500_000, amount=100)
            notification = order.replace('"id": 1, ', "").encode()
            alice.writer.write(frame_bytes(TEXT, notification) * (4 * IN_FLIGHT_MAX))
            await alice.writer.drain()
            assert (await alice.ask("private/get_balance"))["result"]["locked"] == 4 * IN_FLIGHT_MAX * 150_000

    run(conversation())


@pytest.mark.slow
def test_a_client_that_never_reads_is_closed_without_effect_on_others(
    run: Run, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation() -> None:
        monkeypatch.setattr(socket_connection, "OUTBOX_MAX", 100_000)
        async with exchange(db) as server:
            slow = await server.connect(receive_buffer=4_096)
            channels = [f"book.{INSTRUMENT}.{depth}" for depth in range(1, 101)]
            slow.writer.write(frame_bytes(TEXT, request("public/subscribe", channels=channels).encode()))
            bob = await server.client("bob")
            connections = server.node.gateway._connections
            assert len(connections) >= 2
            known = set(connections)
            for n in range(5_000):
                assert "result" in await bob.buy(n)
                if len(known & connections.keys()) < 2:
                    break
            else:
                pytest.fail("the slow client was never closed")
            assert await slow.closing() is None
            await server_still_answers(server)

    run(conversation())


@pytest.mark.slow
@pytest.mark.parametrize("turn_seconds", [0, limits.TURN_SECONDS])
def test_clients_that_disconnect_in_the_middle_of_their_commands(
    run: Run, db: Path, monkeypatch: pytest.MonkeyPatch, turn_seconds: float
) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", turn_seconds)

    async def conversation() -> None:
        async with exchange(db) as server:
            for n in range(20):
                alice = await server.client("alice")
                await alice.ask("private/enable_cancel_on_disconnect")
                channels = ["user.orders", "user.trades", f"book.{INSTRUMENT}.10"]
                await alice.ask("public/subscribe", channels=channels)
                for _ in range(50):
                    alice.send(request("private/buy", n, instrument_id=INSTRUMENT, price=1_500_000, amount=100))
                await alice.writer.drain()
                if n % 2:
                    alice.writer.transport.abort()
                else:
                    await alice.hang_up()
            while await connections_left(server):
                pass
            alice = await server.client("alice")
            await alice.buy()
            # Until the commands of the closed connections are done.
            while len((await alice.ask("private/get_open_orders"))["result"]) > 1:
                pass

    run(conversation())


@pytest.mark.slow
@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize("turn_seconds", [0, 1_000])
def test_commands_sent_before_closing_are_carried_out(
    run: Run, db: Path, monkeypatch: pytest.MonkeyPatch, turn_seconds: int, enabled: bool
) -> None:
    """One write has the login, orders with queries between them, and the close; then cancel-on-disconnect runs."""
    monkeypatch.setattr(turns, "TURN_SECONDS", turn_seconds)
    count = 150

    async def conversation() -> None:
        async with exchange(db) as server:
            wire = await server.connect()
            name = {"grant_type": "client_credentials", "client_id": "alice"}
            buy = {"instrument_id": INSTRUMENT, "price": 1_500_000, "amount": 100}
            texts = [request("public/auth", **name)]
            texts += [request("private/enable_cancel_on_disconnect")] * enabled
            texts += [request("private/buy", n, **buy) for n in range(count)]
            texts.insert(count // 2, request("private/get_balance"))
            frames = [frame_bytes(TEXT, text.encode()) for text in texts]
            wire.writer.write(b"".join([*frames, frame_bytes(CLOSE, (1000).to_bytes(2))]))
            await wire.closing()
            await wire.hang_up()
            while await connections_left(server):
                pass
            alice = await server.client("alice")
            # Until the commands of the closed connection are done.
            while True:
                history = (await alice.ask("private/get_order_history", count=1_000))["result"]
                left = (await alice.ask("private/get_open_orders"))["result"]
                if len(history if enabled else left) == count:
                    break
            assert len(history) + len(left) == count

    run(conversation())


async def connections_left(server: Server) -> int:
    """The number of connections after a turn of the event loop."""
    await asyncio.sleep(0)
    return len(server.node.gateway._connections)


@pytest.mark.slow
def test_channels_subscribed_and_unsubscribed_again_and_again(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice, bob = await server.client("alice"), await server.client("bob")
            channels = ["user.orders", f"trades.{INSTRUMENT}", f"book.{INSTRUMENT}.1", f"book.{INSTRUMENT}.100"]
            for n in range(200):
                alice.send(request("public/subscribe", n, channels=channels[n % 3 :]))
                alice.send(request("private/buy", n, instrument_id=INSTRUMENT, price=1_500_000, amount=100))
                bob.send(request("private/sell", n, instrument_id=INSTRUMENT, price=1_500_000, amount=200))
                alice.send(request("public/unsubscribe", n, channels=channels[: n % 4]))
            answers = [message for message in [await alice.text() for _ in range(600)] if "id" in message]
            while len(answers) < 600:
                message = await alice.text()
                answers += [message] if "id" in message else []
            assert [answer["id"] for answer in answers] == [n for n in range(200) for _ in range(3)]
            assert_in_order([await bob.text() for _ in range(200)])
            shown = (await alice.ask("public/get_order_book", instrument_id=INSTRUMENT, depth=100))["result"]
            for book in alice.lawyer.books.values():
                levels = book.levels()
                assert levels == {"bids": shown["bids"][: book.depth], "asks": shown["asks"][: book.depth]}

    run(conversation())


@pytest.mark.slow
def test_a_broken_journal_stops_the_exchange_at_once_and_answers_nothing(
    run: Run, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def append(_records: list[Record]) -> None:
        raise JournalBrokenError("the disk is on fire")

    async def conversation() -> None:
        async with exchange(db) as server:
            alice, bob = await server.client("alice"), await server.client("bob")
            await bob.ask("public/subscribe", channels=[f"book.{INSTRUMENT}.1"])
            monkeypatch.setattr(server.journal, "append", append)
            for n in range(3):
                alice.send(request("private/buy", n, instrument_id=INSTRUMENT, price=1_500_000, amount=100))
            with pytest.raises(Closed) as closed:
                await alice.frame()
            assert closed.value.code is None, "it was answered, or the connection was closed as if all was well"
            server.breaks = True
            with pytest.raises(JournalBrokenError, match="on fire"):
                await server.running
            # Bob gets the snapshot and nothing else.
            bob.lawyer.rest()
            await bob.text()
            assert await bob.closing() is None

    run(conversation())


@pytest.mark.slow
def test_a_journal_that_breaks_while_times_are_recorded_stops_the_exchange(
    run: Run, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def append_answers(_rows: list[tuple[int, int]]) -> None:
        raise JournalBrokenError("the disk is on fire")

    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            monkeypatch.setattr(server.node._pipeline._journal, "append_answers", append_answers)
            # The command is durable.
            assert "result" in await alice.buy()
            server.breaks = True
            with pytest.raises(JournalBrokenError, match="on fire"):
                await server.running
            assert await alice.closing() is None
        async with exchange(db) as server:
            alice = await server.client("alice")
            assert len((await alice.ask("private/get_open_orders"))["result"]) == 1

    run(conversation())


@pytest.mark.slow
def test_a_full_disk_is_survived_without_a_gap(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice, bob = await server.client("alice"), await server.client("bob")
            await bob.ask("public/subscribe", channels=[f"book.{INSTRUMENT}.1"])
            seq = (await alice.buy())["result"]["seq"]
            # SQLite takes the current number of pages instead, and so the file cannot grow.
            await set_pages_max(server, 1)
            recorded = 0
            while "result" in (answer := await alice.buy()):
                recorded += 1
                assert answer["result"]["seq"] == seq + recorded
            assert answer["error"]["code"] == 1024
            assert (await alice.buy())["error"]["code"] == 1024
            # A shorter command may find room in the last page.
            long = {"client_order_id": "x" * CLIENT_ORDER_ID_MAX, "instrument_id": "y" * INSTRUMENT_ID_MAX}
            assert (await alice.ask("private/cancel", **long))["error"]["code"] == 1024
            balance = (await alice.ask("private/get_balance"))["result"]
            assert balance["seq"] == seq + recorded and balance["locked"] == 1_500_000 * (1 + recorded)
            await set_pages_max(server, 2**31)
            assert (await alice.buy())["result"]["seq"] == seq + recorded + 1
            carol = await server.client("carol")
            assert (await carol.buy())["result"]["seq"] == seq + recorded + 3
            await bob.ask("public/test")
            assert bob.lawyer.books[f"book.{INSTRUMENT}.1"].bids == {1_500_000: (1_000 * (recorded + 3), recorded + 3)}
        check_journal(db, server)

    run(conversation())


async def set_pages_max(server: Server, count: int) -> None:
    assert isinstance(server.journal, SqliteJournalWriter)
    await server.journal._connection.execute(f"PRAGMA max_page_count = {count}")


def check_journal(db: Path, server: Server) -> None:
    """Check that the journal has no gap, and leads to the state of the server."""
    with open_journal_reader(db) as reader:
        records = list(reader.records(Head()))
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
    engine = recover(db, lambda _: None, lambda _done, _all: None).engine
    assert engine.snapshot() == server.engine.snapshot()


@pytest.mark.slow
def test_stopping_answers_accepted_commands_and_closes_connections(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice, bob = await server.client("alice"), await server.client("bob")
            await alice.ask("private/enable_cancel_on_disconnect")
            await alice.buy()
            await bob.buy()
            server.stop()
            assert await alice.closing() == 1001
            assert await bob.closing() == 1001
            await asyncio.gather(alice.hang_up(), bob.hang_up())
            await server.running
        check_journal(db, server)
        async with exchange(db) as server:
            alice, bob = await server.client("alice"), await server.client("bob")
            assert (await alice.ask("private/get_open_orders"))["result"] == []
            (order,) = (await bob.ask("private/get_open_orders"))["result"]
            assert (await bob.buy())["result"]["order"]["order_id"] == order["order_id"] + 1

    run(conversation())


async def server_still_answers(server: Server) -> None:
    wire: Wire = await server.connect()
    assert "result" in await wire.ask("public/test")
    await wire.hang_up()


def test_appended_commands_are_durable_while_many_other_rows_are_recorded(run: Run, db: Path) -> None:
    """Times of answers are written while the next batch is: its durability must not depend on their COMMIT."""

    async def conversation() -> None:
        journal = await open_journal_writer(db)
        try:
            await journal.append(chain(journal.head, [(1, "{}")]))
            answers = [(seq, 1) for seq in range(1, 6_001)]
            await asyncio.gather(journal.append_answers(answers), append_and_check(journal))
        finally:
            await journal.close()

    async def append_and_check(journal: JournalWriter) -> None:
        await journal.append(chain(journal.head, [(2, "{}")]))
        with open_journal_reader(db) as reader:
            assert reader.head().seq == 2, "answered, but not durable"

    run(conversation())


def _ignore(*_: object) -> None:
    pass


@pytest.mark.slow
def test_a_dry_run_that_took_long_is_followed_by_a_rest(run: Run, db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked_us = iter([0, DRY_RUN_US, 0, DRY_RUN_US + 1, 0])
    monkeypatch.setattr(node, "thread_cpu_us", lambda: next(worked_us))
    monkeypatch.setattr(node, "DRY_RUN_RESTS", 1_000_000)

    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            order = {"instrument_id": INSTRUMENT, "price": 1_500_000, "amount": 1_000}
            # The first takes as long as it may, the second longer.
            for _ in range(2):
                assert (await alice.ask("private/buy", **order, dry_run=True))["result"]["dry_run"]
            assert (await alice.ask("private/buy", **order, dry_run=True))["error"]["code"] == 1007
            assert (await alice.ask("private/buy", **order))["result"]["order"]["status"] == "open"

    run(conversation())


@pytest.mark.slow
def test_a_client_that_floods_a_broken_connection_is_not_read_any_more(
    run: Run, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_connection, "IGNORED_MAX", 0)

    async def conversation() -> None:
        async with exchange(db) as server:
            flooding = await server.client("alice")
            (connection,) = server.node.gateway._connections
            flooding.writer.write(frame_bytes(BINARY, b"x"))
            assert await flooding.closing() == 1003
            assert not connection._is_reading_paused
            flooding.writer.write(b"x" * 1_000)
            while not connection._is_reading_paused:  # noqa: ASYNC110 - a transport does not tell
                await asyncio.sleep(0)

    run(conversation())


@pytest.mark.slow
def test_no_collection_of_garbage_waits_for_more_than_a_tick(run: Run, db: Path) -> None:
    """Python would wait until there are thousands of objects more than before, however many were replaced."""

    async def conversation() -> None:
        async with exchange(db) as server:
            gc.disable()
            new = [[index] for index in range(10)]
            server.node.gateway._tick()
            young = [*gc.get_objects(0), *gc.get_objects(1)]
            assert not any(one is other for one in new for other in young)

    try:
        run(conversation())
    finally:
        gc.enable()


@pytest.mark.slow
@pytest.mark.parametrize(("age_ticks", "is_collected"), [(1, True), (0, False)])
def test_memory_of_old_connections_is_free_after_some_were_closed(
    run: Run, db: Path, age_ticks: int, is_collected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frequent collections of garbage look at new objects only, and a closed connection is a cycle."""
    monkeypatch.setattr(gateway_server, "OLD_CLOSED_MAX", 1)

    async def conversation() -> None:
        async with exchange(db) as server:
            client = await server.client("alice")
            gateway = server.node.gateway
            (connection,) = gateway._connections
            connection.age_ticks = age_ticks
            gone, left = connection.gone, weakref.ref(connection)
            del connection
            gc.collect()
            gc.disable()
            await client.hang_up()
            await gone
            del gone
            # The road keeps its last command.
            await server.client("bob")
            gateway._tick()
            assert (left() is None) == is_collected

    try:
        run(conversation())
    finally:
        gc.enable()


@pytest.mark.slow
def test_memory_is_given_back_after_many_connections_were_closed(
    run: Run, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(gateway_server, "give_back_memory", lambda: given_back.append(1))

    async def conversation() -> None:
        async with exchange(db) as server:
            gateway = server.node.gateway
            # A second flood does not wait for longer than the first one: more memory would stop the loop for longer.
            for flood in (1, 2):
                clients = [await server.connect() for _ in range(gateway_server.FREED_CONNECTIONS)]
                gone = [connection.gone for connection in gateway._connections]
                gateway._tick()
                assert len(given_back) == flood - 1
                for client in clients:
                    await client.hang_up()
                await asyncio.gather(*gone)
                gateway._tick()
                gateway._tick()
                assert len(given_back) == flood

    run(conversation())
