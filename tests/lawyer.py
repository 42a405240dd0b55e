"""Checks one connection from the client's side: an AssertionError says where the exchange breaks the protocol.

It does not know how the exchange works. It reads the frames in both directions and compares them with
`docs/protocol.md`: every request with an id is answered once and in turn; results have the types in the table of
methods; `seq` never decreases; streams with `from_seq` begin there; a book follows from its messages alone.
"""

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from exchange.gateway.jsonrpc import TEST_REQUEST
from exchange.gateway.limits import ID_MAX
from exchange.gateway.methods import METHODS
from exchange.gateway.params import CommandParams

NUMBER_MAX = 2**53 - 1
CODES = {-32700, -32600, -32601, -32602, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1014}
# Never -32603: that would be a fault of the exchange.
CODES |= {1020, 1021, 1022, 1023, 1024, 1025, 1026, 1028, 1029, 1030, 1031, 1032, 1033, 1035, 1036}
COMMANDS = {"private/buy", "private/sell", "private/edit", "private/cancel", "private/cancel_all"}
COMMANDS |= {"private/close_position", "private/mass_quote", "private/cancel_quotes", "private/place_linked_orders"}
# The methods whose result has the seq of an earlier command, which set it, and the channel with the same values.
EARLIER = {"public/get_index_price": "index", "public/get_mark_surface": "surface"}
# The channels that are no streams: their messages are states, and merge several commands.
STATES = ("book.", "tickers.", "quote.", "candles.")
FLOATS = {"mark_iv", "bid_iv", "ask_iv", "delta", "gamma", "vega", "theta", "rho"}


class Expected:
    """The expected answer to one frame: none, one answer, or an array with one answer for each of `ids`."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        # As JSON; then the method and the parameters of the same requests, "" and {} if there are none.
        self.ids: list[str] = []
        self.methods: list[str] = []
        self.params: list[dict[str, Any]] = []
        self.is_batch = False
        # True if it changes subscriptions without an answer, so that they are unknown afterwards.
        self.hides_channels = False
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
        if type(raw_id) not in (str, int, type(None)) or len(str(raw_id)) > ID_MAX:
            self._add(None)
        elif isinstance(part, dict) and part.get("jsonrpc") == "2.0" and isinstance(part.get("method"), str):
            if "id" in part:
                params = part.get("params")
                self._add(raw_id, part["method"], params if isinstance(params, dict) else {})
            elif part["method"] in ("public/subscribe", "public/unsubscribe"):
                self.hides_channels = True
        else:
            self._add(raw_id)

    def _add(self, request_id: Any, method: str = "", params: Mapping[str, Any] = {}) -> None:
        self.ids.append(json.dumps(request_id))
        self.methods.append(method)
        # A parameter that is null is as good as left out.
        self.params.append({name: value for name, value in params.items() if value is not None})


class Run:
    """Channels whose notifications are in one `seq` order: all live ones, or the streams of one catch-up."""

    def __init__(self, from_seq: int = 0) -> None:
        self.last_seq = from_seq - 1
        # By stream: each stream has one notification for a command.
        self.last_seqs: dict[str, int] = {}
        # Of the last notification on user.trades.
        self.traded_seq = 0

    def take(self, channel: str, seq: int) -> None:
        assert self.last_seq <= seq, "the seq of notifications decreased"
        self.last_seq = seq
        if channel.startswith(STATES):
            return
        assert self.last_seqs.get(channel, -1) < seq, f"{channel} had two notifications for seq {seq}"
        self.last_seqs[channel] = seq
        if channel == "user.orders":
            assert self.traded_seq < seq, "user.trades came before user.orders"
        elif channel == "user.trades":
            self.traded_seq = seq


class ClientBook:
    """The book of one channel as a client builds it from messages."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.seq = -1
        # The number of changes that skip a seq.
        self.merged = 0
        self.bids: dict[int, tuple[int, int]] = {}
        self.asks: dict[int, tuple[int, int]] = {}

    def take(self, data: dict[str, Any]) -> None:
        if data["type"] == "snapshot":
            self.bids, self.asks = {}, {}
            for side, levels in ((self.bids, data["bids"]), (self.asks, data["asks"])):
                side |= {level["price"]: (level["size"], level["count"]) for level in levels}
        else:
            assert self.seq >= 0, "a change before the snapshot"
            assert data["prev_seq"] == self.seq < data["seq"], "a change is missing"
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
        # The last messages on tickers and quotes, by channel.
        self.latest: dict[str, dict[str, Any]] = {}
        self.answers = 0
        self.notifications = 0
        self._expected: deque[Expected] = deque()
        # The highest of all notifications.
        self._last_seq = 0
        # The highest on each channel.
        self._channel_seqs: dict[str, int] = {}
        self._live = Run()
        # Streams with `from_seq`.
        self._caught_up: dict[str, Run] = {}
        # None if it is unknown.
        self.subscribed: set[str] | None = set()

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
            self._on_notification(**message["params"])
            return
        assert self._expected, f"an answer without a request: {text!r}"
        expected = self._expected.popleft()
        answers = message if expected.is_batch else [message]
        ids = [json.dumps(answer["id"]) for answer in answers]
        assert ids == expected.ids, (
            f"the answer to another request: {text[:300]!r}, expected {expected.ids} for {expected.frame[:300]!r}"
        )
        for method, params, answer in zip(expected.methods, expected.params, answers, strict=True):
            self._on_answer(method, params, answer)

    def rest(self) -> None:
        """Check that no request is unanswered."""
        assert not self._expected, f"{len(self._expected)} frames are not answered"

    def _on_answer(self, method: str, params: dict[str, Any], answer: dict[str, Any]) -> None:
        self.answers += 1
        assert answer["jsonrpc"] == "2.0" and answer.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
        _check_numbers({key: value for key, value in answer.items() if key != "id"})
        if "error" in answer:
            error = answer["error"]
            assert error.keys() == {"code", "message", "data"} and error["code"] in CODES, error
            assert error["data"]["reason"].replace("_", "").isalnum() and error["data"]["reason"].islower(), error
            assert error["data"]["detail"], "an error without a detail"
            if "receipt" in error["data"]:
                _check_receipt(method, error["data"])
            return
        result = answer["result"]
        _check_result(method, result)
        from_seq = params.get("from_seq")
        if method == "public/subscribe" and from_seq is not None:
            assert result.keys() == {"channels", "seq"} and from_seq <= result["seq"]
            self._on_subscribed(result["channels"], Run(from_seq))
        elif method == "public/subscribe":
            self._on_subscribed(result, None)
        elif method == "public/unsubscribe":
            self._on_unsubscribed(result)
        elif method in COMMANDS and "dry_run" not in result:
            assert self._last_seq < result["seq"], "a command's notifications came before its answer"
        elif method in EARLIER:
            self._on_earlier(method, params, result)
        elif isinstance(result, dict) and "seq" in result and "at_seq" in params:
            assert result["seq"] == params["at_seq"], "an answer about another moment"
        elif isinstance(result, dict) and "seq" in result and "at_ts_us" not in params and not _is_past(method):
            # The history answers as of the command at which it was asked. Notifications go on in the meantime.
            assert self._last_seq <= result["seq"], f"{method}: older than a notification before it"

    def _on_earlier(self, method: str, params: dict[str, Any], result: dict[str, Any]) -> None:
        """Check that the result is not of a later moment, and not older than a message on the channel of its values."""
        if "at_seq" in params:
            assert result["seq"] <= params["at_seq"], "an answer about a later moment"
        elif "at_ts_us" in params:
            assert result["ts_us"] <= params["at_ts_us"], "an answer about a later moment"
        else:
            last_seq = self._channel_seqs.get(f"{EARLIER[method]}.{result['asset']}", 0)
            assert last_seq <= result["seq"], f"{method}: older than a message of its channel before it"

    def _on_subscribed(self, names: list[str], run: Run | None) -> None:
        """Note subscribed channels. Their streams belong to `run` if they begin at a seq."""
        if self.subscribed is None:
            return
        self.subscribed |= set(names)
        for name in names:
            if run is not None and not name.startswith(STATES):
                self._caught_up[name] = run

    def _on_unsubscribed(self, names: list[str]) -> None:
        if self.subscribed is not None:
            self.subscribed -= set(names)
        for name in names:
            self.books.pop(name, None)
            self._caught_up.pop(name, None)
            self._live.last_seqs.pop(name, None)

    def _on_notification(self, channel: str, data: Any, seq: int | None = None) -> None:
        known = self.subscribed is None or channel in self.subscribed
        assert known, f"{channel} came while it was not subscribed"
        if channel.startswith("book."):
            book = self.books.setdefault(channel, ClientBook(int(channel.rpartition(".")[2])))
            book.take(data)
            assert seq is None
            seq = book.seq
        elif channel.startswith("candles."):
            assert seq is None
            seq = self._on_candles(channel, data)
        elif channel.startswith(STATES):
            assert seq is None
            seq = self._on_states(channel.partition(".")[2], channel, data)
        assert seq is not None, "a notification of a stream without a seq"
        assert all(item.get("seq", seq) == seq for item in (data if isinstance(data, list) else [data]))
        if self.subscribed is not None:
            self._caught_up.get(channel, self._live).take(channel, seq)
        self._last_seq = max(self._last_seq, seq)
        self._channel_seqs[channel] = max(self._channel_seqs.get(channel, 0), seq)

    def _on_candles(self, channel: str, data: dict[str, Any]) -> int:
        """Note the running candle. It is the last one that was noted, or follows it."""
        last = self.latest.get(channel)
        begins = [candle["ts_us"] for candle in data["candles"]]
        assert begins and begins == sorted(set(begins))
        assert last is None or (last["candles"][-1]["ts_us"] <= begins[0] and last["seq"] <= data["seq"])
        self.latest[channel] = data
        seq: int = data["seq"]
        return seq

    def _on_states(self, of: str, channel: str, data: Any) -> int:
        """Note the state of an instrument, or those of instruments on an asset after one command."""
        if isinstance(data, dict):
            assert of == data["instrument_id"]
            return self._on_state(channel, data)
        assert all(state["instrument_id"].startswith(f"{of}_") for state in data)
        (seq,) = {self._on_state(f"{channel} {state['instrument_id']}", state) for state in data}
        return seq

    def _on_state(self, channel: str, state: dict[str, Any]) -> int:
        """Note a ticker or a quote. It must be newer than the last one, or equal to it after another subscription."""
        seq: int = state["seq"]
        last = self.latest.get(channel)
        assert last is None or last["seq"] < seq or last == state, "another state of the same command"
        self.latest[channel] = state
        return seq


def _parse(text: bytes) -> Any:
    """Parse strict JSON. Raises ValueError, also for NaN and lone surrogates."""
    try:
        content = json.loads(text.decode(), parse_constant=_refuse, parse_int=_integer, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError from error
    json.dumps(content, ensure_ascii=False).encode()
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The last value of each key; of a repeated key of the envelope an invalid one, because it makes a request invalid.

    Raises ValueError for lone surrogates in a value that is not the last one.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        json.dumps(pairs, ensure_ascii=False).encode()
        found |= {key: value for key, value in pairs if _is_invalid(key, value)}
    return found


def _is_invalid(key: str, value: Any) -> bool:
    return (key == "jsonrpc" and value != "2.0") or (key == "method" and not isinstance(value, str))


def _integer(text: str) -> int:
    """The number, or one that is as much beyond every limit: Python refuses to parse very long numbers."""
    return int(text[:4_000])


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _check_result(method: str, result: Any) -> None:
    """The result has the type that the table of methods gives it, without a field more, except for a receipt."""
    if (known := METHODS.get(method)) is not None:
        if isinstance(result, dict) and "receipt" in result:
            _check_receipt(method, result)
            result = {name: value for name, value in result.items() if name != "receipt"}
        is_dry_run = isinstance(result, dict) and "dry_run" in result
        typed = msgspec.convert(result, known.dry_run_result if is_dry_run else known.result)
        assert msgspec.json.decode(msgspec.json.encode(typed)) == result, f"{method}: the table gives another type"


def _check_receipt(method: str, answer: dict[str, Any]) -> None:
    """The receipt is that of the command of the answer."""
    assert issubclass(METHODS[method].params, CommandParams), f"{method} records no command"
    receipt = answer["receipt"]
    assert receipt.keys() == {"seq", "ts_us", "hash"} and len(bytes.fromhex(receipt["hash"])) == 32
    assert answer.get("seq", receipt["seq"]) == receipt["seq"], "the receipt of another command"


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


def _is_past(method: str) -> bool:
    """True if the history always answers this method."""
    return method in METHODS and METHODS[method].always_past
