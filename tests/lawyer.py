"""Watches one connection from the client's side and objects wherever the protocol is not kept.

It knows nothing of how the exchange works: it reads what was sent and what came back, and holds both against
`docs/protocol.md`. Every request with an id is answered once and in turn; `seq` never runs backwards, and streams that
are filled from a seq begin there; a book is built from its messages alone.
"""

import json
from collections import deque
from typing import Any

import msgspec

from exchange.gateway.jsonrpc import TEST_REQUEST
from exchange.gateway.methods import METHODS

NUMBER_MAX = 2**53 - 1
CODES = {-32700, -32600, -32601, -32602, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1014}
CODES |= {1020, 1021, 1022, 1023, 1024, 1025, 1026, 1028, 1029, 1030}  # and never -32603: that would be our fault
COMMANDS = {"private/buy", "private/sell", "private/edit", "private/cancel", "private/cancel_all"}
COMMANDS |= {"private/close_position"}
STATES = ("book.", "tickers.")  # channels that say how things are, as opposed to the streams
FLOATS = {"mark_iv", "delta", "gamma", "vega", "theta", "rho"}


class Expected:
    """What one frame is to be answered with: nothing, one answer, or an array with one answer for each of `ids`."""

    def __init__(self, frame: bytes) -> None:
        self.ids: list[str] = []  # as JSON
        self.methods: list[str] = []  # of the same requests; "" where there is none
        self.from_seqs: list[int | None] = []  # of the same requests, where they subscribe from one
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
                params = part.get("params")
                self._add(raw_id, part["method"], params.get("from_seq") if isinstance(params, dict) else None)
            elif part["method"] in ("public/subscribe", "public/unsubscribe"):
                self.hides_channels = True
        else:
            self._add(raw_id)

    def _add(self, request_id: Any, method: str = "", from_seq: int | None = None) -> None:
        self.ids.append(json.dumps(request_id))
        self.methods.append(method)
        self.from_seqs.append(from_seq)


class Run:
    """Channels whose notifications run in `seq` order together: all live ones, or streams filled together."""

    def __init__(self, from_seq: int = 0) -> None:
        self.last_seq = from_seq - 1
        self.last_seqs: dict[str, int] = {}  # by stream, each of which tells of a command once
        self.traded_seq = 0  # the last that user.trades told of

    def take(self, channel: str, seq: int) -> None:
        assert self.last_seq <= seq, "notifications run backwards"
        self.last_seq = seq
        if channel.startswith(STATES):
            return
        assert self.last_seqs.get(channel, -1) < seq, f"{channel} told of seq {seq} twice"
        self.last_seqs[channel] = seq
        if channel == "user.orders":
            assert self.traded_seq < seq, "user.trades came before user.orders"
        elif channel == "user.trades":
            self.traded_seq = seq


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
        self.tickers: dict[str, dict[str, Any]] = {}
        self.answers = 0
        self.notifications = 0
        self._expected: deque[Expected] = deque()
        self._last_seq = 0  # the highest of all notifications
        self._live = Run()
        self._filled: dict[str, Run] = {}  # streams that were subscribed from a seq
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
        if text == TEST_REQUEST:
            return
        if isinstance(message, dict) and "method" in message:
            assert message.keys() == {"jsonrpc", "method", "params"} and message["method"] == "subscription"
            _check_numbers(message)
            self.notifications += 1
            self._notified(**message["params"])
            return
        assert self._expected, f"an answer to nothing: {text!r}"
        expected = self._expected.popleft()
        answers = message if expected.is_batch else [message]
        assert [json.dumps(answer["id"]) for answer in answers] == expected.ids, "another request was to be answered"
        for method, from_seq, answer in zip(expected.methods, expected.from_seqs, answers, strict=True):
            self._answered(method, from_seq, answer)

    def rest(self) -> None:
        """Nothing is under way any more."""
        assert not self._expected, f"{len(self._expected)} frames are not answered"

    def _answered(self, method: str, from_seq: int | None, answer: dict[str, Any]) -> None:
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
        _check_result(method, result)
        if method == "public/subscribe" and from_seq is not None:
            assert result.keys() == {"channels", "seq"} and from_seq <= result["seq"]
            self._subscribed(result["channels"], Run(from_seq))
        elif method == "public/subscribe":
            self._subscribed(result, None)
        elif method == "public/unsubscribe":
            self._unsubscribed(result)
        elif method in COMMANDS and "dry_run" not in result:
            assert self._last_seq < result["seq"], "a command's notifications came before its answer"
        elif isinstance(result, dict) and "seq" in result:
            assert self._last_seq <= result["seq"], "an answer older than what was told before it"

    def _subscribed(self, names: list[str], run: Run | None) -> None:
        """`run` where streams begin from a seq; others go on as they are."""
        if self.subscribed is None:
            return
        self.subscribed |= set(names)
        for name in names:
            if run is not None and not name.startswith(STATES):
                self._filled[name] = run

    def _unsubscribed(self, names: list[str]) -> None:
        if self.subscribed is not None:
            self.subscribed -= set(names)
        for name in names:
            self.books.pop(name, None)
            self._filled.pop(name, None)
            self._live.last_seqs.pop(name, None)

    def _notified(self, channel: str, data: Any, seq: int | None = None) -> None:
        known = self.subscribed is None or channel in self.subscribed
        assert known, f"{channel} came before it was subscribed, or after it was not"
        if channel.startswith("book."):
            book = self.books.setdefault(channel, ClientBook(int(channel.rpartition(".")[2])))
            book.take(data)
            assert seq is None
            seq = book.seq
        elif channel.startswith("tickers."):
            assert seq is None and channel == f"tickers.{data['instrument_id']}"
            seq = self._ticked(data)
        assert seq is not None, "a stream must say of which command it tells"
        assert all(item.get("seq", seq) == seq for item in (data if isinstance(data, list) else [data]))
        if self.subscribed is not None:
            self._filled.get(channel, self._live).take(channel, seq)
        self._last_seq = max(self._last_seq, seq)

    def _ticked(self, ticker: dict[str, Any]) -> int:
        """A ticker is whole, and newer than the last one but where it was subscribed again."""
        seq: int = ticker["seq"]
        last = self.tickers.get(ticker["instrument_id"])
        assert last is None or last["seq"] < seq or last == ticker, "another ticker of the same command"
        self.tickers[ticker["instrument_id"]] = ticker
        return seq


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


def _check_result(method: str, result: Any) -> None:
    """The result has the type that the table of methods gives it, without a field more."""
    if (known := METHODS.get(method)) is not None:
        is_dry_run = isinstance(result, dict) and "dry_run" in result
        typed = msgspec.convert(result, known.dry_run_result if is_dry_run else known.result)
        assert msgspec.json.decode(msgspec.json.encode(typed)) == result, f"{method}: the table gives another type"


def _check_numbers(value: Any) -> None:
    if isinstance(value, dict):
        for name, part in value.items():
            if not (name in FLOATS and isinstance(part, float)):
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
