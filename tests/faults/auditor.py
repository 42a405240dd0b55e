"""The auditor: it remembers everything that a client was told, and demands after each crash that all of it is true.

It reads the surviving journal and applies its commands by itself, each once, without snapshots. From that it makes
every answer and every notification anew, and compares them byte by byte.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from exchange.catch_up.streams import CommandUpdate, encode, key_of, message_text, update_of
from exchange.domain.commands import Deposit, OpenAccount, PlaceOrder, Withdraw, decode_command
from exchange.domain.events import OrderAccepted, Traded, encode_event_array
from exchange.engine.digests import EVENTS_SUBJECT
from exchange.engine.engine import STATE_SUBJECT, Engine
from exchange.engine.recovery import recover
from exchange.gateway import jsonrpc
from exchange.gateway.caller import Caller
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.methods import METHODS
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head, Record
from exchange.projections.fold import Change
from exchange.projections.views_codec import encode_views
from exchange.projections.wire_types import Receipt
from exchange.runtime.engine_port import EnginePort
from exchange.snapshots.store import DamagedSnapshotError, SnapshotStore, load
from tests.faults.history import HistoryRow


class Request(NamedTuple):
    """A request that a client sent."""

    user_id: str
    id: int
    method: str
    params: dict[str, Any]
    number: int = 0


class FoundError(AssertionError):
    """The exchange broke a promise."""


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw()
    error: "_Error | None" = None


class _Error(msgspec.Struct):
    code: int
    data: dict[str, Any] = {}


class _Seq(msgspec.Struct):
    seq: int | None = None
    receipt: Receipt | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class _Told(NamedTuple):
    """An answer that depends on the state after command `seq`. `receipt`: it is the answer to that command."""

    request: Request
    text: bytes
    receipt: Receipt | None


class Auditor:
    """Everything that was ever told, and an engine of its own."""

    def __init__(self) -> None:
        self.answers = 0
        self.notifications = 0
        self._told: dict[int, list[_Told]] = defaultdict(list)
        self._notified: list[tuple[int, str, str, bytes]] = []
        self._received: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)
        self._sent: dict[str, list[Request]] = defaultdict(list)
        self._unrecorded: list[Request] = []
        self._begin()

    def _begin(self) -> None:
        self._engine = Engine()
        self._updates: list[CommandUpdate] = []
        # After each command the first messages of `user.balance` and `user.positions`, by user.
        self._states: list[dict[str, dict[str, Any]]] = []
        self._history: list[HistoryRow] = []
        self._order_ids: dict[int, int] = {}
        self._trade_ids: dict[int, int] = {}
        self._keys: dict[str, int] = {}
        self._paid_micros = 0

    @property
    def seq(self) -> int:
        """The last command of the journal at the last audit."""
        return self._engine.head.seq

    # What the clients tell it.

    def sent(self, request: Request) -> None:
        """A client sent a request."""
        if (key := request.params.get("client_order_id")) is not None and request.method in _PLACING:
            self._sent[key].append(request)

    def answered(self, request: Request, text: bytes) -> None:
        """A client received the answer to a request."""
        self.answers += 1
        answer = _decode_answer(text)
        if answer.error is not None:
            if answer.error.code == 1024 and request.method in _PLACING:
                self._unrecorded.append(request)
            receipt = answer.error.data.get("receipt")
            if receipt is not None:
                self._tell(request, text, msgspec.convert(receipt, Receipt))
            return
        if bytes(answer.result)[:1] != b"{" or request.method == "public/subscribe":
            return
        found = msgspec.json.decode(answer.result, type=_Seq)
        if found.receipt is not None:
            self._tell(request, text, found.receipt)
        elif found.seq is not None and METHODS[request.method].answer is None:
            self._told[found.seq].append(_Told(request, text, None))

    def _tell(self, request: Request, text: bytes, receipt: Receipt) -> None:
        self._told[receipt.seq].append(_Told(request, text, receipt))

    def notified(self, user_id: str, link: int, channel: str, seq: int, text: bytes) -> None:
        """A client received a notification of a command."""
        self.notifications += 1
        if channel.startswith(("book.", "ticker.")):
            return
        self._notified.append((seq, channel, user_id, text))

    def link_lost(self, user_id: str, link: int) -> None:
        """A client lost its connection."""

    # What it demands.

    def audit(self, path: Path, history: list[HistoryRow], snapshot_seq: int) -> None:
        """Read the journal at `path` after a crash or a stop. Raises FoundError."""
        with open_journal_reader(path) as reader:
            head = reader.head()
            known = reader.head_at(self._engine.head.seq) if self._engine.head.seq else Head()
            if known != self._engine.head:
                # Commands that were written but not synced are lost now, and nobody may have been told of them.
                self._begin()
            digests = {(seq, subject): digest for seq, subject, digest in reader.digests()}
            snapshots = self._snapshots(path, head)
            if snapshot_seq > max(snapshots, default=0):
                raise FoundError(f"the snapshot at seq {snapshot_seq} was on disk and the newest, and is deleted")
            for record in reader.records(self._engine.head):
                self._step(record, digests, snapshots)
        self._check_told(head)
        self._check_history(history)
        self._check_recovery(path)

    def _step(self, record: Record, digests: dict[tuple[int, str], str], snapshots: dict[int, list[Any]]) -> None:
        command = decode_command(record.payload)
        events, change = self._engine.step(record, command)
        self._updates.append(update_of(change, self._engine.views))
        views = self._engine.views
        self._states.append(
            {
                user_id: {"user.balance": views.balance(user_id), "user.positions": views.position_views(user_id)}
                for user_id in views.balances.users
            }
        )
        self._history.append(HistoryRow(record.seq, record.ts_us, record.hash, encode_event_array(events)))
        for event in events:
            if isinstance(event, OrderAccepted):
                _once(self._order_ids, event.order_id, record.seq, "order id")
            elif isinstance(event, Traded):
                _once(self._trade_ids, event.trade_id, record.seq, "trade id")
        if change.refused is None:
            self._paid_micros += _paid(command)
            if isinstance(command, PlaceOrder) and command.client_order_id and not change.duplicate:
                _once(self._keys, command.client_order_id, record.seq, "client order id")
        for told in self._told.pop(record.seq, ()):
            self._check_answer(told, change)
        for subject, value in ((STATE_SUBJECT, self._engine.digest), (EVENTS_SUBJECT, self._events_digest)):
            recorded = digests.get((record.seq, subject))
            if recorded is not None and recorded != (computed := value()):
                raise FoundError(f"seq {record.seq}: the {subject} digest is {recorded}, a replay computes {computed}")
        for name, snapshot in snapshots.get(record.seq, ()):
            if problem := self._engine.mismatch_with(snapshot):
                raise FoundError(f"snapshot {name}: {problem}")
            if snapshot.journal_hash != record.hash:
                raise FoundError(f"snapshot {name} is of another journal")

    def _events_digest(self) -> str:
        value = self._engine.events_digest.value
        return "" if value is None else value.hex()

    def _snapshots(self, path: Path, head: Head) -> dict[int, list[Any]]:
        """The whole snapshots, by the seq of their state. One that is ahead of the journal is an error."""
        found: dict[int, list[Any]] = defaultdict(list)
        for file in SnapshotStore(path).files():
            try:
                snapshot = load(file)
            except DamagedSnapshotError:
                continue
            if snapshot.seq > head.seq:
                raise FoundError(f"snapshot {file.name} has seq {snapshot.seq}, but the journal ends at {head.seq}")
            found[snapshot.seq].append((file.name, snapshot))
        return found

    def _check_told(self, head: Head) -> None:
        for seq, told in self._told.items():
            raise FoundError(f"seq {seq} is lost, but {told[0].request.user_id} was told: {told[0].text.decode()}")
        for seq, channel, user_id, text in self._notified:
            if seq > head.seq:
                raise FoundError(f"seq {seq} is lost, but {user_id} was notified: {text.decode()}")
            texts = [made for _, made in encode(self._updates[seq - 1], (key_of(channel, user_id),))]
            states = self._states[seq - 1].get(user_id, {})
            if text not in texts and (channel not in states or text != message_text(channel, seq, states[channel])):
                raise FoundError(f"seq {seq}: a replay does not make the notification {text.decode()}")
        self._notified.clear()
        for request in self._unrecorded:
            key = request.params.get("client_order_id", "")
            if key in self._keys and len(self._sent[key]) == 1:
                raise FoundError(f"{request} was answered with 1024, but is recorded as seq {self._keys[key]}")
        for key in self._keys:
            if key not in self._sent:
                raise FoundError(f"order {key} was recorded, but never sent")
        state = self._engine.state
        state.check()
        if (cash := sum(account.cash_micros for account in state.accounts.values())) != self._paid_micros:
            raise FoundError(f"the accounts hold {cash} micros, but {self._paid_micros} were paid in")

    def _check_history(self, rows: list[HistoryRow]) -> None:
        if rows != (mine := self._history[: len(rows)]):
            wrong = next((n for n, row in enumerate(rows) if n >= len(mine) or row != mine[n]))
            raise FoundError(f"the history has {rows[wrong]}, which is not in the journal")

    def _check_recovery(self, path: Path) -> None:
        """A start with the snapshots that there are gives the same state and views as a replay of everything."""
        found = recover(path, lambda text: None, lambda done, total: None).engine
        mine = self._engine
        if (found.head, found.digest()) != (mine.head, mine.digest()):
            raise FoundError(f"recovery gives another state at seq {found.head.seq} than a replay at {mine.head.seq}")
        if encode_views(found.views) != encode_views(mine.views):
            raise FoundError(f"recovery gives other views at seq {found.head.seq} than a replay")

    def _check_answer(self, told: _Told, change: Change) -> None:
        request, text, receipt = told
        if receipt is not None and bytes.fromhex(receipt.hash) != self._engine.head.hash:
            raise FoundError(f"seq {receipt.seq} is another command than that of the answer {text.decode()}")
        made = self._answer_text(request, change, is_command=receipt is not None)
        if made != text:
            raise FoundError(f"seq {change.seq}: the answer was {text.decode()}, a replay makes {made.decode()}")

    def _answer_text(self, request: Request, change: Change, is_command: bool) -> bytes:
        """The answer to a request at this moment."""
        method, raw_id = METHODS[request.method], str(request.id).encode()
        caller = Caller(_Port(self._engine), _NOTHING, _NOTHING)
        caller.user_id = request.user_id
        params = method.decode(msgspec.Raw(msgspec.json.encode(request.params)))
        try:
            if not is_command:
                return jsonrpc.result_text(raw_id, method.handle(caller, params))
            receipt = Receipt(change.seq, change.ts_us, self._engine.head.hash.hex())
            if change.refused is not None and change.refused != method.ignores:
                raise jsonrpc.refused(change.refused, seq=change.seq, receipt=receipt)
            assert method.answer is not None
            return jsonrpc.result_text(raw_id, jsonrpc.result_with(method.answer(caller, change), receipt))
        except RpcError as error:
            return jsonrpc.error_text(raw_id, error)


_PLACING = ("private/buy", "private/sell")
_NOTHING: Any = None


class _Port(EnginePort):
    """The exchange of the auditor, as a handler sees it."""

    @property
    def first_seq(self) -> int:
        raise NotImplementedError

    @property
    def credentials(self) -> Any:
        raise NotImplementedError

    def now_us(self) -> int:
        raise NotImplementedError

    def submit(self, *_: Any) -> None:
        raise NotImplementedError

    def ask_past(self, *_: Any) -> None:
        raise NotImplementedError

    def catch_up(self, *_: Any) -> Any:
        raise NotImplementedError


def _once(found: dict[Any, int], name: Any, seq: int, kind: str) -> None:
    if name in found:
        raise FoundError(f"{kind} {name} was given to command {found[name]} and again to {seq}")
    found[name] = seq


def _paid(command: Any) -> int:
    match command:
        case OpenAccount():
            return command.cash_micros
        case Deposit():
            return command.amount_micros
        case Withdraw():
            return -command.amount_micros
    return 0
