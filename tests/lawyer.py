"""Watches one connection from the client's side and objects wherever the protocol is not kept.

It knows nothing of how the exchange works: it reads what was sent and what came back, and holds both against
`docs/protocol.md`. Every request with an id is answered once and in turn; `seq` never runs backwards; a book is built
from its messages alone.
"""

import json
from collections import deque
from typing import Any

import msgspec

NUMBER_MAX = 2**53 - 1
CODES = {-32700, -32600, -32601, -32602, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1014}
CODES |= {1020, 1021, 1022, 1023, 1024, 1025, 1026}  # and never -32603: that would be our fault
COMMANDS = {"private/buy", "private/sell", "private/edit", "private/cancel", "private/cancel_all"}


class Expected:
    """What one frame is to be answered with: nothing, one answer, or an array with one answer for each of `ids`."""

    def __init__(self, frame: bytes) -> None:
        self.ids: list[str] = []  # as JSON
        self.methods: list[str] = []  # of the same requests; "" where there is none
        self.is_batch = False
        self.hides_channels = False  # by changing subscriptions without asking for an answer
        try:
            content = _parse(frame)
        except ValueError:
            self._add(None)
            return
        if not isinstance(content, list) or not 0 < len(content) <= 100:
            self._expect(content)
            return
        self.is_batch = True
        for part in content:
            self._expect(part)

    def _expect(self, part: Any) -> None:
        raw_id = part.get("id") if isinstance(part, dict) else None
        if type(raw_id) not in (str, int, type(None)):
            self._add(None)
        elif isinstance(part, dict) and part.get("jsonrpc") == "2.0" and isinstance(part.get("method"), str):
            if "id" in part:
                self._add(raw_id, part["method"])
            elif part["method"] in ("public/subscribe", "public/unsubscribe"):
                self.hides_channels = True
        else:
            self._add(raw_id)

    def _add(self, request_id: Any, method: str = "") -> None:
        self.ids.append(json.dumps(request_id))
        self.methods.append(method)


class ClientBook:
    """One book channel as a client has it: from messages alone."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.seq = -1
        self.merged = 0  # changes that skip a seq
        self.bids: dict[int, tuple[int, int]] = {}
        self.asks: dict[int, tuple[int, int]] = {}

    def take(self, data: dict[str, Any]) -> None:
        if data["type"] == "snapshot":
            self.bids, self.asks = {}, {}
            for side, levels in ((self.bids, data["bids"]), (self.asks, data["asks"])):
                side |= {level["price"]: (level["size"], level["count"]) for level in levels}
        else:
            assert self.seq >= 0, "a change before the snapshot"
            assert data["prev_seq"] == self.seq < data["seq"], "something was missed"
            assert data["bids"] or data["asks"], "a change that changes nothing"
            self.merged += data["seq"] > data["prev_seq"] + 1
            _change(self.bids, data["bids"])
            _change(self.asks, data["asks"])
        self.seq = data["seq"]
        assert len(self.bids) <= self.depth and len(self.asks) <= self.depth, "more levels than asked for"
        assert not self.bids or not self.asks or max(self.bids) < min(self.asks), "a crossed book"

    def levels(self) -> dict[str, list[dict[str, int]]]:
        """As `public/get_order_book` shows it."""
        return {"bids": _levels(self.bids, reverse=True), "asks": _levels(self.asks, reverse=False)}


class Lawyer:
    """Tell it every frame that goes out and every text that comes in. `rest` asks whether all is answered."""

    def __init__(self) -> None:
        self.books: dict[str, ClientBook] = {}
        self.answers = 0
        self.notifications = 0
        self._expected: deque[Expected] = deque()
        self._last_seq = 0  # of notifications
        self._traded_us = 0  # the newest trade that user.trades told of
        self.subscribed: set[str] | None = set()  # None: it cannot be known any more

    def sent(self, frame: bytes) -> None:
        expected = Expected(frame)
        if expected.hides_channels:
            self.subscribed = None
        if expected.ids:
            self._expected.append(expected)

    def got(self, text: bytes) -> None:
        message = _parse(text)
        assert message == msgspec.json.decode(text)
        if isinstance(message, dict) and "method" in message:
            assert message.keys() == {"jsonrpc", "method", "params"} and message["method"] == "subscription"
            assert message["params"].keys() == {"channel", "data"}
            _check_numbers(message)
            self.notifications += 1
            self._notified(message["params"]["channel"], message["params"]["data"])
            return
        assert self._expected, f"an answer to nothing: {text!r}"
        expected = self._expected.popleft()
        answers = message if expected.is_batch else [message]
        assert [json.dumps(answer["id"]) for answer in answers] == expected.ids, "another request was to be answered"
        for method, answer in zip(expected.methods, answers, strict=True):
            self._answered(method, answer)

    def rest(self) -> None:
        """Nothing is under way any more."""
        assert not self._expected, f"{len(self._expected)} frames are not answered"

    def _answered(self, method: str, answer: dict[str, Any]) -> None:
        self.answers += 1
        assert answer["jsonrpc"] == "2.0" and answer.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
        _check_numbers({key: value for key, value in answer.items() if key != "id"})
        if "error" in answer:
            error = answer["error"]
            assert error.keys() == {"code", "message", "data"} and error["code"] in CODES, error
            assert error["data"]["reason"].replace("_", "").isalnum() and error["data"]["reason"].islower(), error
            assert error["data"]["detail"], "an error without a word to people"
            return
        result = answer["result"]
        if method in ("public/subscribe", "public/unsubscribe"):
            self._changed_channels(set(result), method == "public/subscribe")
        elif method in COMMANDS:
            assert self._last_seq < result["seq"], "a command's notifications came before its answer"
        elif isinstance(result, dict) and "seq" in result:
            assert self._last_seq <= result["seq"], "an answer older than what was told before it"

    def _changed_channels(self, names: set[str], joined: bool) -> None:
        if self.subscribed is not None:
            self.subscribed = self.subscribed | names if joined else self.subscribed - names
        if not joined:
            for name in names:
                self.books.pop(name, None)

    def _notified(self, channel: str, data: Any) -> None:
        known = self.subscribed is None or channel in self.subscribed
        assert known, f"{channel} came before it was subscribed, or after it was not"
        if channel.startswith("book."):
            book = self.books.setdefault(channel, ClientBook(int(channel.rpartition(".")[2])))
            book.take(data)
        if channel == "user.orders":
            assert all(order["updated_us"] > self._traded_us for order in data), "user.trades came before user.orders"
        elif channel == "user.trades":
            self._traded_us = data[0]["ts_us"]
        seqs = {item["seq"] for item in (data if isinstance(data, list) else [data]) if "seq" in item}
        assert len(seqs) <= 1, "one message tells of several commands"
        for seq in seqs:
            assert self._last_seq <= seq, "notifications run backwards"
            self._last_seq = seq


def _parse(text: bytes) -> Any:
    """JSON to the letter: no NaN, no lone surrogates. Raises ValueError."""
    try:
        content = json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError from error
    json.dumps(content, ensure_ascii=False).encode()
    return content


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _check_numbers(value: Any) -> None:
    if isinstance(value, dict):
        for part in value.values():
            _check_numbers(part)
    elif isinstance(value, list):
        for part in value:
            _check_numbers(part)
    elif isinstance(value, int):
        assert abs(value) <= NUMBER_MAX, "a number that JavaScript cannot read"
    else:
        assert not isinstance(value, float), "a number that is no integer"


def _change(side: dict[int, tuple[int, int]], levels: list[dict[str, int]]) -> None:
    assert len({level["price"] for level in levels}) == len(levels), "a level twice in one change"
    for level in levels:
        after = (level["size"], level["count"])
        assert side.get(level["price"], (0, 0)) != after, "a level that has not changed"
        assert (level["size"] > 0) == (level["count"] > 0), "size and count disagree"
        if level["size"]:
            side[level["price"]] = after
        else:
            del side[level["price"]]


def _levels(side: dict[int, tuple[int, int]], reverse: bool) -> list[dict[str, int]]:
    return [
        {"price": price, "size": size, "count": count} for price, (size, count) in sorted(side.items(), reverse=reverse)
    ]
