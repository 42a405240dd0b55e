"""The clients of a run. They trade, subscribe, lose their connections and come back; the auditor hears it all."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.faults.auditor import Auditor, Request
from tests.faults.machine import Machine
from tests.faults.network import Network
from tests.faults.plan import Action

URL = "ws://127.0.0.1:8765/"
ADMIN = "admin"
USERS = ("alice", "bob", "carol")
INSTRUMENTS = ("SOL_USDC-26FEB26-2-C", "SOL_USDC-28FEB26-3-P")
STREAMS = (
    "user.orders", "user.trades", "user.balance", "user.positions", "settlement", "status", "index.SOL",
    "instruments.SOL", *(f"trades.{name}" for name in INSTRUMENTS),
)  # fmt: skip
# Requests that a client sends before it waits for answers.
_IN_FLIGHT_MAX = 20
_QUERIES = ("private/get_account", "public/get_head", "public/get_order_book", "private/get_open_orders")
_BY_ADMIN = ("deposit", "withdraw", "index", "pause", "resume", "create")


class _Text(msgspec.Struct):
    """A message of the exchange."""

    id: int | None = None
    params: dict[str, msgspec.Raw] = {}


_decode = msgspec.json.Decoder(_Text).decode


def users_of(actions: list[Action]) -> dict[str, list[Action]]:
    """The actions of each user. The administrator does those that only it may do."""
    found: dict[str, list[Action]] = {user: [] for user in (ADMIN, *USERS)}
    found[ADMIN] += [Action(0, 0, "create", number) for number in range(len(INSTRUMENTS))]
    for action in actions:
        user = ADMIN if action.method in _BY_ADMIN else USERS[action.client % len(USERS)]
        found[user].append(action)
    return found


class Link:
    """One connection of a client."""

    def __init__(self, client: "Client", number: int) -> None:
        self.client = client
        self.number = number
        self.websocket = ClientProtocol(parse_uri(URL))
        self.is_lost = False

    def on_connected(self) -> None:
        self.websocket.send_request(self.websocket.connect())
        self.flush()

    def on_data(self, data: bytes) -> None:
        if self.is_lost:
            return
        self.websocket.receive_data(data)
        for event in self.websocket.events_received():
            if not isinstance(event, Frame):
                self.client.on_open(self)
            elif event.opcode is Opcode.TEXT:
                self.client.on_text(self, bytes(event.data))
        self.flush()

    def on_lost(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.client.on_lost(self)

    def send(self, text: bytes) -> None:
        self.websocket.send_text(text)
        self.flush()

    def flush(self) -> None:
        connection = self.client.network.connection_of(self)
        data = b"".join(self.websocket.data_to_send())
        if connection is not None and data:
            connection.send(data)


class Client:
    """One user with one connection at a time."""

    def __init__(
        self,
        machine: Machine,
        network: Network,
        auditor: Auditor,
        user_id: str,
        actions: list[Action],
        secret: Callable[[], str | None],
    ) -> None:
        self.network = network
        self._machine = machine
        self._auditor = auditor
        self._user_id = user_id
        self._actions = deque(enumerate(actions))
        self._secret = secret
        self._link: Link | None = None
        self._links = 0
        self._is_ready = False
        self._is_acting = False
        self._ids = 0
        self._unanswered: dict[int, Request] = {}
        self._again: list[Request] = []
        self._orders: list[str] = []
        self._last_seq: int | None = None

    @property
    def is_done(self) -> bool:
        """True if all actions were done and answered, as far as answers can still come."""
        return not self._actions and not self._unanswered and not self._again

    def connect(self) -> None:
        """Connect, again and again until it succeeds."""
        self._links += 1
        self._link = Link(self, self._links)
        self.network.connect(self._link)

    def on_open(self, link: Link) -> None:
        params = {"grant_type": "client_credentials", "client_id": self._user_id}
        if self._user_id == ADMIN:
            params["client_secret"] = self._secret() or ""
        self._call(link, "public/auth", params)

    def on_lost(self, link: Link) -> None:
        self._is_ready = False
        self._auditor.link_lost(self._user_id, link.number)
        # It is unknown whether these were recorded. Some are sent again, under the same client_order_id.
        self._again += [
            request
            for request in self._unanswered.values()
            if "client_order_id" in request.params
            and request.method in ("private/buy", "private/sell")
            and request.number % 4
        ]
        self._unanswered.clear()
        self._machine.call_later(5_000 + 7_000 * (self._links % 5), self.connect)

    def on_text(self, link: Link, text: bytes) -> None:
        self._machine.note(f"{self._user_id} <", text)
        message = _decode(text)
        if message.id is None:
            if "seq" in message.params:
                seq = msgspec.json.decode(message.params["seq"], type=int)
                channel = msgspec.json.decode(message.params["channel"], type=str)
                self._auditor.notified(self._user_id, link.number, channel, seq, text)
                self._last_seq = max(self._last_seq or 0, seq)
            return
        request = self._unanswered.pop(message.id)
        self._auditor.answered(request, text)
        if request.method == "public/auth":
            self._on_logged_in(link)
        self._act_later()

    def _on_logged_in(self, link: Link) -> None:
        self._is_ready = True
        self._subscribe(link)
        again, self._again = self._again, []
        for request in again:
            self._call(link, request.method, request.params, request.number)

    def _subscribe(self, link: Link) -> None:
        params: dict[str, Any] = {"channels": [*STREAMS, f"book.{INSTRUMENTS[1]}.5"]}
        if self._last_seq is not None:
            params["from_seq"] = self._last_seq + 1
        self._call(link, "public/subscribe", params)

    def _act_later(self) -> None:
        if self._actions and not self._is_acting and len(self._unanswered) < _IN_FLIGHT_MAX:
            self._is_acting = True
            self._machine.call_later(self._actions[0][1].pause_us + 1, self._act)

    def _act(self) -> None:
        self._is_acting = False
        if not self._is_ready or self._link is None or self._link.websocket.state is not State.OPEN:
            return
        index, action = self._actions.popleft()
        self._do(self._link, index, action)
        self._act_later()

    def _do(self, link: Link, index: int, action: Action) -> None:
        connection = self.network.connection_of(link)
        if action.method == "disconnect":
            if connection is not None:
                connection.cut()
        elif action.method == "stall":
            if connection is not None:
                connection.stalled_until_us = self._machine.now_us + 1_000 + action.number % 100_000
        elif action.method == "subscribe":
            self._subscribe(link)
        else:
            method, params = self._request_of(index, action)
            if method not in _QUERIES:
                params["receipt"] = True
            self._call(link, method, params, action.number)

    def _request_of(self, index: int, action: Action) -> tuple[str, dict[str, Any]]:
        random = Random(action.number)
        instrument_id = random.choice(INSTRUMENTS)
        match action.method:
            case "buy" | "sell":
                self._orders.append(f"{self._user_id}-{index}")
                params: dict[str, Any] = {
                    "instrument_id": instrument_id, "amount": random.choice((100, 500, 1_000)),
                    "price": random.randint(1, 6) * 100_000, "client_order_id": self._orders[-1],
                }  # fmt: skip
                if random.random() < 0.2:
                    params["time_in_force"] = random.choice(("fok", "ioc", "day"))
                return f"private/{action.method}", params
            case "cancel" | "edit":
                order = random.choice(self._orders[-6:] or ["none"])
                params = {"client_order_id": order}
                if action.method == "edit":
                    params |= {"amount": random.choice((200, 700)), "price": random.randint(1, 6) * 100_000}
                return f"private/{action.method}", params
            case "cancel_all":
                return "private/cancel_all", {}
            case "close_position":
                return "private/close_position", {"instrument_id": instrument_id}
            case "cancel_on_disconnect":
                return f"private/{random.choice(('enable', 'disable'))}_cancel_on_disconnect", {}
            case "deposit" | "withdraw":
                user_id, amount = random.choice(USERS), random.choice((1, 1_000_000, 7_654_321))
                return f"admin/{action.method}", {"user_id": user_id, "amount": amount}
            case "index":
                return "admin/set_index_price", {"asset": "SOL", "price": random.randint(15, 35) * 100_000}
            case "pause" | "resume":
                return f"admin/{action.method}", {"instrument_id": instrument_id}
            case "create":
                name = INSTRUMENTS[action.number]
                return "admin/create_instrument", {"instrument_id": name, "tick_size": 100_000, "min_size": 1}
        method = random.choice(_QUERIES)
        return method, {"instrument_id": instrument_id} if method == "public/get_order_book" else {}

    def _call(self, link: Link, method: str, params: dict[str, Any], number: int = 0) -> None:
        self._ids += 1
        request = Request(self._user_id, self._ids, method, params, number)
        self._unanswered[self._ids] = request
        self._auditor.sent(request)
        text = msgspec.json.encode({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        self._machine.note(f"{self._user_id} >", text)
        link.send(text)
