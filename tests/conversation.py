"""Plays golden conversations: files with the messages that clients send and receive.

    # A comment, or an empty line, ends a paragraph.
    alice> {"jsonrpc":"2.0","id":1,"method":"public/test"}
    alice< {"jsonrpc":"2.0","id":1,"result":{"version":"0.1.0"}}

The messages of a paragraph before its first `<` are sent at once, also by several connections. At its end nothing else
may have arrived. Each name is a connection, which opens when it first sends. Answers are compared as JSON, exactly, in
the order in which they arrive on their connection. After `alice<<` only the fields that are shown are compared, and
only as many elements of an array as are shown. A message may continue on further lines if none of them begins with a
small letter or `#`. `3 times alice> ...` sends a message three times. Directives:

    rules {...}            the rules of the genesis command       } before
    rate N                 requests a second on one connection    } anything
    list INSTRUMENT        list an instrument, tick 10,000 micros, smallest size 100 millicontracts
    clock TIME             set the clock, which otherwise stands still; a new conversation begins at START_US
    clock jumps SECONDS    the system clock jumps, and exchange time does not follow it
    disk full, disk ok     the journal cannot, or can again, record anything; `disk full once`: one batch fails
    history off, history on    questions about the past are refused, or answered again
    wait N                 N seconds pass for heartbeats
    close NAME             the client closes the connection
    gone NAME              the exchange has closed the connection
    restart                the exchange crashes and restarts; all connections are closed

`python -m tests.conversation FILE` prints the conversation as the exchange holds it now.
"""

import asyncio
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from exchange.domain.commands import CreateInstrument
from exchange.domain.rules import Rules
from exchange.journal.errors import JournalFullError
from tests.fake_exchange import Connection, FakeExchange

SENDS = re.compile(r"(?:(\d+) times )?([a-z]\w*)> (.*)", re.DOTALL)
RECEIVES = re.compile(r"([a-z]\w*)<(<?) (.*)", re.DOTALL)
_CONTINUES = re.compile(r"[^a-z0-9#\n]")


class Entry(NamedTuple):
    """One entry of a file: a message, a directive, or a line that ends a paragraph."""

    number: int
    text: str

    @property
    def ends_paragraph(self) -> bool:
        return not self.text or self.text.startswith("#")


class ConversationError(AssertionError):
    """The exchange answered differently. Names the file, the line and both messages."""


def read_entries(path: Path) -> list[Entry]:
    entries: list[Entry] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if entries and not entries[-1].ends_paragraph and _CONTINUES.match(line):
            entries[-1] = Entry(entries[-1].number, f"{entries[-1].text}\n{line}")
        else:
            entries.append(Entry(number, line))
    return entries


def play(path: Path) -> None:
    """Play a conversation. Raises ConversationError at the first difference."""
    asyncio.run(_Conversation(path).play())


def retell(path: Path) -> str:
    """The conversation as the exchange holds it now."""
    return asyncio.run(_Conversation(path).retell())


class _Conversation:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = read_entries(path)
        self.connections: dict[str, Connection] = {}
        self.rules = Rules()
        self.rate = 0
        self.exchange: FakeExchange | None = None

    async def play(self) -> None:
        for entry in [*self.entries, Entry(len(self.entries), "")]:
            if match := RECEIVES.fullmatch(entry.text):
                await (await self._started_exchange()).settle()
                inbox = self.connections[match[1]].inbox if match[1] in self.connections else []
                self._compare(entry, match[3], inbox.pop(0) if inbox else None, is_part=bool(match[2]))
            elif entry.ends_paragraph:
                await self._end_paragraph(entry)
            else:
                await self._act(entry)
        await self._conclude()

    async def retell(self) -> str:
        lines: list[str] = []
        for entry in [*self.entries, Entry(0, "")]:
            if RECEIVES.fullmatch(entry.text):
                continue
            if entry.ends_paragraph and self.exchange is not None:
                await self.exchange.settle()
                for name, connection in self.connections.items():
                    lines += [f"{name}< {text.decode()}" for text in connection.take()]
            lines.append(entry.text)
            if not entry.ends_paragraph:
                await self._act(entry)
        await self._conclude()
        return "\n".join(lines)

    async def _act(self, entry: Entry) -> None:
        if match := SENDS.fullmatch(entry.text):
            for _ in range(int(match[1] or 1)):
                (await self._connection(match[2])).send(match[3])
            return
        word, _, rest = entry.text.partition(" ")
        if word == "rules":
            self.rules = msgspec.json.decode(rest, type=Rules)
        elif word == "rate":
            self.rate = int(rest)
        else:
            await self._direct(entry, await self._started_exchange(), word, rest)

    async def _direct(self, entry: Entry, exchange: FakeExchange, word: str, rest: str) -> None:
        match word, rest:
            case "list", _:
                await exchange.execute(CreateInstrument(rest, 10_000, 100))
            case "clock", _ if rest.startswith("jumps "):
                exchange.clock.jump_us = int(rest.removeprefix("jumps ")) * 1_000_000
            case "clock", _:
                exchange.clock.ts_us = round(datetime.fromisoformat(rest).timestamp() * 1_000_000)
                await exchange.settle()
            case "disk", "full":
                exchange.journal.failures = [JournalFullError("the disk is full")] * 1_000
            case "disk", "full once":
                exchange.journal.failures = [JournalFullError("the disk is full")]
            case "disk", "ok":
                exchange.journal.failures = []
            case "history", "off" | "on":
                exchange.has_history = rest == "on"
            case "wait", _:
                for _ in range(int(rest)):
                    for connection in exchange.connections:
                        connection.session.on_tick()
                await exchange.settle()
            case "gone", _:
                if not self.connections[rest].reasons:
                    raise ConversationError(
                        f"{self.path.name}:{entry.number}: the exchange has not closed the connection of {rest}"
                    )
                exchange.disconnect(self.connections.pop(rest))
            case "close", _:
                exchange.disconnect(self.connections.pop(rest))
            case "restart", "":
                await exchange.crash()
                self.connections.clear()
                await exchange.start()
            case _:
                raise ConversationError(f"{self.path.name}:{entry.number}: not understood: {entry.text}")

    async def _started_exchange(self) -> FakeExchange:
        if self.exchange is None:
            self.exchange = FakeExchange(self.rules, self.rate)
            await self.exchange.start()
        return self.exchange

    async def _connection(self, name: str) -> Connection:
        if name not in self.connections:
            self.connections[name] = (await self._started_exchange()).connect()
        return self.connections[name]

    async def _end_paragraph(self, entry: Entry) -> None:
        if self.exchange is None:
            return
        await self.exchange.settle()
        for name, connection in self.connections.items():
            for text in connection.inbox:
                raise ConversationError(f"{self.path.name}:{entry.number}: not expected:\n{name}< {text.decode()}")
            connection.lawyer.rest()

    async def _conclude(self) -> None:
        assert self.exchange is not None, "an empty conversation"
        self.exchange.engine.state.check()
        await self.exchange.stop()

    def _compare(self, entry: Entry, expected: str, text: bytes | None, is_part: bool) -> None:
        matches = _is_part if is_part else _is_same
        if text is None or not matches(_parsed(expected), _parsed(text)):
            came = text.decode() if text is not None else "nothing"
            raise ConversationError(f"{self.path.name}:{entry.number}:\nexpected: {expected}\ncame:     {came}")


def _parsed(text: str | bytes) -> Any:
    return json.loads(text, object_pairs_hook=_once)


def _is_same(expected: Any, value: Any) -> bool:
    return json.dumps(expected, sort_keys=True) == json.dumps(value, sort_keys=True)


def _is_part(expected: Any, value: Any) -> bool:
    """Whether `value` has all that is expected, and perhaps more fields. Arrays are compared from their beginning."""
    if isinstance(expected, dict) and isinstance(value, dict):
        return all(name in value and _is_part(part, value[name]) for name, part in expected.items())
    if isinstance(expected, list) and isinstance(value, list):
        return len(expected) <= len(value) and all(map(_is_part, expected, value))
    return _is_same(expected, value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "a key stands twice in an object"
    return dict(pairs)


if __name__ == "__main__":
    print(retell(Path(sys.argv[1])))  # noqa: T201
