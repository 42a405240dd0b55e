"""The stream notifications that the events of commands must have caused: a second, slower computation, as dictionaries.

It shares nothing with the exchange but the events and the field names of the protocol.
"""

import json
from pathlib import Path
from typing import Any

from exchange.domain.events import encode_events
from exchange.engine.engine import Engine
from exchange.engine.recovery import replay
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head

Told = dict[tuple[str, str], dict[int, Any]]  # by channel and user ("" for trades.*), then by seq

_PLACED = {"size_milli": "size", "price_micros": "price"}
_KEPT = ("order_id", "instrument_id", "user_id", "side", "type", "time_in_force", "post_only")


def told_by(path: Path) -> Told:
    """The notifications of every command of the journal at `path`."""
    account = _Account()
    engine = Engine()
    with open_journal_reader(path) as reader:
        for record in reader.records(Head()):
            account.take(record.seq, record.ts_us, [json.loads(text) for text in encode_events(replay(engine, record))])
    return account.told


class _Account:
    def __init__(self) -> None:
        self.told: Told = {}
        self.orders: dict[int, dict[str, Any]] = {}
        self.notional: dict[int, int] = {}

    def take(self, seq: int, ts_us: int, events: list[dict[str, Any]]) -> None:
        changed: dict[int, None] = {}
        for event in events:
            match event["kind"]:
                case "order_accepted":
                    changed[self._accept(event, ts_us)] = None
                case "order_edited" | "order_cancelled":
                    changed[self._change(event, ts_us)] = None
                case "traded":
                    for side in ("maker", "taker"):
                        self._fill(event, side, ts_us)
                        changed[event[f"{side}_order_id"]] = None
                        self._trade(event, side, seq, ts_us)
                    self._say(f"trades.{event['instrument_id']}", "", seq, _trade(event, seq, ts_us))
                case "balance_changed":
                    self.told.setdefault(("user.balance", event["user_id"]), {})[seq] = {
                        "user_id": event["user_id"],
                        "available": event["cash_micros"] - event["locked_micros"],
                        "locked": event["locked_micros"],
                        "maintenance": event.get("maintenance_micros", 0),
                        "shortfall": 0,
                        "seq": seq,
                        "currency": "USDC",
                        "decimals": 6,
                    }
        for order_id in changed:
            order = self.orders[order_id]
            self._say("user.orders", order["user_id"], seq, order.copy())

    def _say(self, channel: str, user_id: str, seq: int, item: Any) -> None:
        self.told.setdefault((channel, user_id), {}).setdefault(seq, []).append(item)

    def _accept(self, event: dict[str, Any], ts_us: int) -> int:
        order = {name: event[name] for name in _KEPT} | {new: event[old] for old, new in _PLACED.items()}
        order |= {"filled": 0, "remaining": order["size"], "average_price": None, "status": "open"}
        order |= {"created_us": ts_us, "updated_us": ts_us}
        if event["client_order_id"] is not None:
            order["client_order_id"] = event["client_order_id"]
        self.orders[event["order_id"]] = order
        return int(event["order_id"])

    def _change(self, event: dict[str, Any], ts_us: int) -> int:
        order = self.orders[event["order_id"]]
        order["updated_us"] = ts_us
        if event["kind"] == "order_cancelled":
            order |= {"status": "cancelled", "cancel_reason": event["reason"]}
        else:
            order |= {new: event[old] for old, new in _PLACED.items()} | {"remaining": event["remaining_milli"]}
        return int(event["order_id"])

    def _fill(self, event: dict[str, Any], side: str, ts_us: int) -> None:
        order_id, remaining = event[f"{side}_order_id"], event[f"{side}_remaining_milli"]
        order = self.orders[order_id]
        notional = self.notional.get(order_id, 0) + event["price_micros"] * event["size_milli"] // 1_000
        self.notional[order_id] = notional
        filled = order["size"] - remaining
        order |= {"filled": filled, "remaining": remaining, "updated_us": ts_us}
        order["average_price"] = (2_000 * notional + filled) // (2 * filled)
        order["status"] = "partially_filled" if remaining else "filled"

    def _trade(self, event: dict[str, Any], side: str, seq: int, ts_us: int) -> None:
        order = self.orders[event[f"{side}_order_id"]]
        trade = _trade(event, seq, ts_us) | {"order_id": order["order_id"], "side": order["side"]}
        trade |= {"liquidity": side, "fee": event[f"{side}_fee_micros"]}
        if "client_order_id" in order:
            trade["client_order_id"] = order["client_order_id"]
        self._say("user.trades", order["user_id"], seq, trade)


def _trade(event: dict[str, Any], seq: int, ts_us: int) -> dict[str, Any]:
    return {
        "trade_id": event["trade_id"],
        "instrument_id": event["instrument_id"],
        "price": event["price_micros"],
        "size": event["size_milli"],
        "taker_side": event["taker_side"],
        "seq": seq,
        "ts_us": ts_us,
    }
