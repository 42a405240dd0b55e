"""The requests of one load connection: frames built in advance, in a flow that keeps the book small.

Half of the flow is at the best price: pairs of a sell and a buy at one price, so that about every
second order trades and no position grows. A quarter are orders at prices that no other order
reaches, so they stay open until their connection cancels them. It cancels one when it has more than
`FAR_OPEN_MAX` of them. These cancellations are the last quarter.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Protocol

from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT

MID_PRICE_MICROS = 1_500_000
TICK_MICROS = 10_000
AMOUNT_MILLI = 1_000
FAR_TICKS = range(2, 11)
FAR_OPEN_MAX = 16
BEST_PRICE_SHARE = 2 / 3

# Every id on the wire has four digits: an answer's id is found by one search and one slice.
FIRST_ID = 1_000
ID_DIGITS = 4

FIN_TEXT = 0x81
MASKED = 0x80
# RFC 6455 allows this mask, which leaves the payload unchanged.
ZERO_MASK = bytes(4)


def masked_frame(payload: bytes, first_byte: int = FIN_TEXT) -> bytes:
    """Return a client's frame around `payload`, of at most 65,535 bytes."""
    if len(payload) < 126:
        header = bytes((first_byte, MASKED | len(payload)))
    else:
        header = bytes((first_byte, MASKED | 126)) + len(payload).to_bytes(2, "big")
    return header + ZERO_MASK + payload


def request_frame(slot: int, method: str, params: Mapping[str, object]) -> bytes:
    """Return the frame of a JSON-RPC request whose id tells its slot."""
    request = {"jsonrpc": "2.0", "id": FIRST_ID + slot, "method": method, "params": params}
    return masked_frame(json.dumps(request, separators=(",", ":")).encode())


def limit_order_frame(slot: int, side: str, instrument_id: str, price_micros: int) -> bytes:
    """Return the frame of a limit order with every usual parameter spelt out."""
    params = {
        "instrument_id": instrument_id,
        "type": "limit",
        "price": price_micros,
        "amount": AMOUNT_MILLI,
        "time_in_force": "gtc",
        "post_only": False,
    }
    return request_frame(slot, f"private/{side}", params)


class Flow(Protocol):
    """Chooses the requests of a connection, and reads their answers."""

    # Further parameters of the login.
    login: Mapping[str, str]

    def next_frame(self, slot: int) -> bytes: ...

    def answered(self, slot: int, data: bytes, start: int, end: int) -> None: ...

    def farewells(self) -> list[bytes]: ...


class EchoFlow:
    """Order frames for a server that only sends them back."""

    login: Mapping[str, str] = {}

    def __init__(self, instrument_id: str, slots: int) -> None:
        self._frames = [limit_order_frame(slot, "buy", instrument_id, MID_PRICE_MICROS) for slot in range(slots)]

    def next_frame(self, slot: int) -> bytes:
        return self._frames[slot]

    def answered(self, slot: int, data: bytes, start: int, end: int) -> None:
        """Ignore an echo."""

    def farewells(self) -> list[bytes]:
        return []


class OrderFlow:
    """Buys, sells and cancels of one client; see the top of this file."""

    login: Mapping[str, str] = {}
    # What comes before the digits of an order's id in an answer.
    before_order_id = b'"order_id":'

    def __init__(self, instrument_id: str, slots: int, seed: int) -> None:
        self._instrument_id = instrument_id
        self._random = Random(seed).random
        self._touch = [self._touch_frames(slot) for slot in range(slots)]
        self._far = [self._far_frames(slot) for slot in range(slots)]
        self._touch_turn = seed % 4
        self._is_far = [False] * slots
        self._far_open: deque[int] = deque()

    def next_frame(self, slot: int) -> bytes:
        self._is_far[slot] = False
        if len(self._far_open) > FAR_OPEN_MAX:
            return self._cancel_frame(slot, self._far_open.popleft())
        draw = self._random()
        if draw < BEST_PRICE_SHARE:
            self._touch_turn = (self._touch_turn + 1) % 4
            return self._touch[slot][self._touch_turn]
        self._is_far[slot] = True
        frames = self._far[slot]
        return frames[int((draw - BEST_PRICE_SHARE) / (1 - BEST_PRICE_SHARE) * len(frames))]

    def answered(self, slot: int, data: bytes, start: int, end: int) -> None:
        """Note the order_id of a resting order; an answer with an error has none."""
        if not self._is_far[slot]:
            return
        found = data.find(self.before_order_id, start, end)
        if found >= 0:
            digits = found + len(self.before_order_id)
            self._far_open.append(int(data[digits : data.index(b",", digits, end)].rstrip(b'"')))

    def farewells(self) -> list[bytes]:
        """Return the requests that cancel all orders of this client."""
        return [request_frame(0, "private/cancel_all", {"instrument_id": self._instrument_id})]

    def _order_frame(self, slot: int, side: str, price_micros: int) -> bytes:
        return limit_order_frame(slot, side, self._instrument_id, price_micros)

    def _cancel_frame(self, slot: int, order_id: int) -> bytes:
        return masked_frame(
            b'{"jsonrpc":"2.0","id":%d,"method":"private/cancel",'
            b'"params":{"order_id":%d,"instrument_id":"%s"}}'
            % (FIRST_ID + slot, order_id, self._instrument_id.encode())
        )

    def _touch_frames(self, slot: int) -> list[bytes]:
        above, below = MID_PRICE_MICROS + TICK_MICROS, MID_PRICE_MICROS - TICK_MICROS
        turns = (("sell", above), ("buy", above), ("buy", below), ("sell", below))
        return [self._order_frame(slot, side, price) for side, price in turns]

    def _far_frames(self, slot: int) -> list[bytes]:
        frames = []
        for ticks in FAR_TICKS:
            away_micros = ticks * TICK_MICROS
            frames += [
                self._order_frame(slot, "buy", MID_PRICE_MICROS - away_micros),
                self._order_frame(slot, "sell", MID_PRICE_MICROS + away_micros),
            ]
        return frames


class DeribitFlow(OrderFlow):
    """The same requests in the dialect of Deribit."""

    # Deribit's logins have a secret. Accounts without a key take any.
    login: Mapping[str, str] = {"client_secret": "any"}
    before_order_id = b'"order_id":"'

    def farewells(self) -> list[bytes]:
        return [request_frame(0, "private/cancel_all_by_instrument", {"instrument_name": self._instrument_id})]

    def _order_frame(self, slot: int, side: str, price_micros: int) -> bytes:
        return request_frame(slot, f"private/{side}", deribit_order(self._instrument_id, price_micros))

    def _cancel_frame(self, slot: int, order_id: int) -> bytes:
        return masked_frame(
            b'{"jsonrpc":"2.0","id":%d,"method":"private/cancel","params":{"order_id":"%d"}}'
            % (FIRST_ID + slot, order_id)
        )


def deribit_order(instrument_id: str, price_micros: int) -> dict[str, object]:
    """The parameters of a limit order as Deribit names them."""
    return {
        "instrument_name": instrument_id,
        "type": "limit",
        "price": price_micros / MICROS_PER_USDC,
        "amount": AMOUNT_MILLI // MILLI_PER_CONTRACT,
        "time_in_force": "good_til_cancelled",
        "post_only": False,
    }
