"""Recorded order flow from ../shared/data, as plain rows. Without that folder its benchmarks are skipped."""

import csv
import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.domain.enums import Side

DATA = Path(__file__).parents[2] / "shared" / "data"


class Action(NamedTuple):
    """One line of a NASDAQ order flow. `key`: the row or sequence it belongs to; price in 1/10,000 of a dollar."""

    key: int
    action: str  # new, reduce, delete, execute
    order_id: int
    side: Side
    price_1e4: int
    size: int


class Message(NamedTuple):
    """One message of a matching stream. `type`: 0 new, 1 cancel, 2 modify; `side`: 0 buy, 1 sell."""

    type: int
    side: int
    ioc: int
    qty: int
    order_id: int
    price_ticks: int


def nasdaq_actions(name: str) -> Iterator[Action]:
    """Yield the actions of `aapl` or `arl`, in order."""
    with gzip.open(DATA / name / "orders.csv.gz", "rt", encoding="ascii") as file:
        for row in csv.DictReader(file):
            key = int(row["row"] if "row" in row else row["sequence"])
            side: Side = "bid" if row["side"] == "bid" else "ask"
            yield Action(key, row["action"], int(row["order_id"]), side, int(row["price_1e4"]), int(row["size"]))


def aapl_best_quotes() -> list[tuple[int, int, int, int]]:
    """By row: ask price, ask size, bid price, bid size."""
    with gzip.open(DATA / "aapl" / "best_quotes.csv.gz", "rt", encoding="ascii") as file:
        quotes = []
        for line in file:
            ask_price, ask_size, bid_price, bid_size = map(int, line.split(","))
            quotes.append((ask_price, ask_size, bid_price, bid_size))
        return quotes


def arl_books() -> Iterator[tuple[int, list[tuple[int, int, int]], list[tuple[int, int, int]]]]:
    """Sequence, bids and asks, best first, each level as price, size, count."""
    with gzip.open(DATA / "arl" / "books.csv.gz", "rt", encoding="ascii") as file:
        for row in csv.DictReader(file):
            yield int(row["sequence"]), _levels(row["bids"]), _levels(row["asks"])


def matching_stream(name: str) -> Iterator[Message]:
    """One of the five 10,000-message streams: normal, static, swing-25, swing-40, flash-crash."""
    content = gzip.decompress((DATA / "matching-cases" / f"orders_{name}.bin.gz").read_bytes())
    _, _, count = struct.unpack_from("<QII", content)
    for position in range(count):
        fields = struct.unpack_from("<BBBBIQQqq", content, 16 + 40 * position)
        kind, side, ioc, _, qty, _, order_id, price_ticks, _ = fields
        yield Message(kind, side, ioc, qty, order_id, price_ticks)


def _levels(text: str) -> list[tuple[int, int, int]]:
    levels = []
    for part in text.split():
        price, size, count = part.split(":")
        levels.append((int(price), int(size), int(count)))
    return levels
