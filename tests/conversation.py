"""Golden conversations: files that say who sends what, and what comes back, to the letter.

    # A comment, or an empty line, ends a paragraph.
    alice> {"jsonrpc":"2.0","id":1,"method":"public/test"}
    alice< {"jsonrpc":"2.0","id":1,"result":{"version":"0.1.0"}}

What a paragraph sends before its first `<` is sent in one go, by one connection or several. At its end nothing may have
arrived that it does not show. Each name is a connection; it is made when it first sends. Answers are compared as JSON,
exactly, in the order in which they arrive on their connection. After `alice<<` only the fields that are shown are
compared, and of an array only as many elements as are shown. A message may go on over several lines, of which none
begins with a small letter or `#`. `3 times alice> ...` sends a message three times. Directives:

    rules {...}            the rules of the genesis command       } before
    rate N                 requests a second on one connection    } anything
    list INSTRUMENT        list an instrument, tick 10,000 micros, smallest size 100 millicontracts
    clock TIME             set the clock, which stands still otherwise; a new conversation begins at START_US
    disk full, disk ok     from here on the journal cannot, or can, record anything; `disk full once`: one batch fails
    wait N                 so many seconds pass, of which heartbeats hear
    close NAME             the connection is gone
    gone NAME              the exchange has hung up on it
    restart                the exchange crashes and comes up again; all connections are gone

`python -m tests.conversation FILE` prints the conversation as it goes today.
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
from tests.fake_exchange import Connection, TestDesk

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
    """The conversation went otherwise; says where and how."""


def read_entries(path: Path) -> list[Entry]:
    entries: list[Entry] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if entries and not entries[-1].ends_paragraph and _CONTINUES.match(line):
            entries[-1] = Entry(entries[-1].number, f"{entries[-1].text}\n{line}")
        else:
            entries.append(Entry(number, line))
    return entries


def play(path: Path) -> None:
    """Hold the conversation; ConversationError at the first difference."""
    asyncio.run(_Conversation(path).play())


def retell(path: Path) -> str:
    """The conversation as it goes today."""
    return asyncio.run(_Conversation(path).retell())


class _Conversation:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = read_entries(path)
        self.connections: dict[str, Connection] = {}
        self.rules = Rules()
        self.rate = 0
        self.desk: TestDesk | None = None

    async def play(self) -> None:
        for entry in [*self.entries, Entry(len(self.entries), "")]:
            if match := RECEIVES.fullmatch(entry.text):
                await (await self._desk()).settle()
                inbox = self.connections[match[1]].inbox if match[1] in self.connections else []
                self._compare(entry, match[3], inbox.pop(0) if inbox else None, is_part=bool(match[2]))
            elif entry.ends_paragraph:
                await self._end_paragraph(entry)
            else:
                await self._act(entry)
        await self._conclude()

    async def retell(self) -> str:
        told: list[str] = []
        for entry in [*self.entries, Entry(0, "")]:
            if RECEIVES.fullmatch(entry.text):
                continue
            if entry.ends_paragraph and self.desk is not None:
                await self.desk.settle()
                for name, connection in self.connections.items():
                    told += [f"{name}< {text.decode()}" for text in connection.take()]
            told.append(entry.text)
            if not entry.ends_paragraph:
                await self._act(entry)
        await self._conclude()
        return "\n".join(told)

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
            await self._direct(entry, await self._desk(), word, rest)

    async def _direct(self, entry: Entry, desk: TestDesk, word: str, rest: str) -> None:
        match word, rest:
            case "list", _:
                await desk.execute(CreateInstrument(rest, 10_000, 100))
            case "clock", _:
                desk.clock.ts_us = round(datetime.fromisoformat(rest).timestamp() * 1_000_000)
                await desk.settle()
            case "disk", "full":
                desk.journal.failures = [JournalFullError("the disk is full")] * 1_000
            case "disk", "full once":
                desk.journal.failures = [JournalFullError("the disk is full")]
            case "disk", "ok":
                desk.journal.failures = []
            case "wait", _:
                for _ in range(int(rest)):
                    for connection in desk.connections:
                        connection.session.on_tick()
                await desk.settle()
            case "gone", _:
                if not self.connections[rest].reasons:
                    raise ConversationError(f"{self.path.name}:{entry.number}: the exchange has not hung up on {rest}")
                desk.disconnect(self.connections.pop(rest))
            case "close", _:
                desk.disconnect(self.connections.pop(rest))
            case "restart", "":
                await desk.crash()
                self.connections.clear()
                await desk.start()
            case _:
                raise ConversationError(f"{self.path.name}:{entry.number}: not understood: {entry.text}")

    async def _desk(self) -> TestDesk:
        if self.desk is None:
            self.desk = TestDesk(self.rules, self.rate)
            await self.desk.start()
        return self.desk

    async def _connection(self, name: str) -> Connection:
        if name not in self.connections:
            self.connections[name] = (await self._desk()).connect()
        return self.connections[name]

    async def _end_paragraph(self, entry: Entry) -> None:
        if self.desk is None:
            return
        await self.desk.settle()
        for name, connection in self.connections.items():
            for text in connection.inbox:
                raise ConversationError(f"{self.path.name}:{entry.number}: not expected:\n{name}< {text.decode()}")
            connection.lawyer.rest()

    async def _conclude(self) -> None:
        assert self.desk is not None, "an empty conversation"
        self.desk.engine.state.check()
        await self.desk.stop()

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
