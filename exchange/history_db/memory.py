"""The newest state of everything in the history: all that a new row needs of the rows before it."""

import sqlite3
from collections import defaultdict
from typing import Any


class OpenOrder:
    """An open order as of the last command, from which its next version follows."""

    __slots__ = (
        "cost_micros",
        "fee_micros",
        "instrument",
        "price_micros",
        "remaining_milli",
        "size_milli",
    )

    def __init__(
        self,
        instrument: int,
        price_micros: int | None,
        size_milli: int,
        remaining_milli: int,
        cost_micros: int,
        fee_micros: int,
    ) -> None:
        self.instrument = instrument
        self.price_micros = price_micros
        self.size_milli = size_milli
        self.remaining_milli = remaining_milli
        self.cost_micros = cost_micros
        self.fee_micros = fee_micros


class UntriggeredOrder:
    """The terms of an untriggered order as of the last command."""

    __slots__ = ("price_micros", "primary_order_id", "size_milli", "trigger_offset_micros", "trigger_price_micros")

    def __init__(
        self,
        trigger_price_micros: int | None,
        trigger_offset_micros: int | None,
        price_micros: int | None,
        size_milli: int,
        primary_order_id: int | None,
    ) -> None:
        self.primary_order_id = primary_order_id
        self.trigger_price_micros = trigger_price_micros
        self.trigger_offset_micros = trigger_offset_micros
        self.price_micros = price_micros
        self.size_milli = size_milli


class Memory:
    """The newest rows of the history in `connection`, by key.

    `positions` has (quantity, uncovered) by (user, instrument), `rates` the initial margin of a short contract in nanos
    by instrument, and `quotes` the best quotes by instrument. Keys of users and instruments are the integers of the
    history.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        query = connection.execute
        self.users: dict[str, int] = dict(query("SELECT user_id, user FROM user"))
        self.instruments: dict[str, int] = dict(query("SELECT instrument_id, instrument FROM instrument"))
        self.open_orders = {
            row[0]: OpenOrder(*row[1:])
            for row in query(
                "SELECT order_id, instrument, price_micros, size_milli, size_milli - filled_milli, cost_micros, "
                "fee_micros FROM book_order WHERE status IN ('open', 'partially_filled')"
            )
        }
        self.icebergs: dict[int, tuple[int, int]] = {
            row[0]: row[1:]
            for row in query(
                "SELECT o.order_id, v.refresh_milli, v.displayed_milli FROM book_order o JOIN iceberg_version v ON "
                "v.order_id = o.order_id AND (v.seq, v.n) = (SELECT seq, n FROM iceberg_version newest WHERE "
                "newest.order_id = o.order_id ORDER BY seq DESC, n DESC LIMIT 1) "
                "WHERE o.status IN ('open', 'partially_filled')"
            )
        }
        self.untriggered = {
            row[0]: UntriggeredOrder(*row[1:])
            for row in query(
                "SELECT order_id, trigger_price_micros, trigger_offset_micros, price_micros, size_milli, "
                "primary_order_id FROM trigger_version v WHERE status = 'untriggered' AND NOT EXISTS (SELECT 1 FROM "
                "trigger_version later WHERE later.order_id = v.order_id AND (later.seq, later.n) > (v.seq, v.n))"
            )
        }
        # Of the untriggered orders: link, fill condition and ids.
        self.links: dict[int, tuple[str, str, str]] = {}
        for order_id in self.untriggered:
            link = "SELECT link, fill_condition, order_ids FROM linked_order WHERE order_id = ?"
            for row in query(link, (order_id,)):
                self.links[order_id] = row
        self.positions: dict[tuple[int, int], tuple[int, int]] = {
            row[:2]: row[2:]
            for row in query(
                "SELECT k.user, k.instrument, v.quantity_milli, v.uncovered_milli FROM position_key k CROSS JOIN "
                "position_version v ON v.user = k.user AND v.instrument = k.instrument AND (v.seq, v.n) = "
                "(SELECT seq, n FROM position_version newest WHERE newest.user = k.user AND "
                "newest.instrument = k.instrument ORDER BY seq DESC, n DESC LIMIT 1)"
            )
        }
        self.rates: dict[int, int | None] = dict(
            query(
                "SELECT instrument, (SELECT initial_nanos FROM mark_version m WHERE m.instrument = i.instrument "
                "ORDER BY seq DESC, n DESC LIMIT 1) FROM instrument i"
            )
        )
        self.quotes: dict[int, tuple[Any, ...]] = {
            row[0]: row[1:]
            for row in query(
                "SELECT instrument, bid_micros, bid_size_milli, ask_micros, ask_size_milli FROM quote_version q "
                "WHERE seq = (SELECT max(seq) FROM quote_version newest WHERE newest.instrument = q.instrument)"
            )
        }
        # The instruments of each series, by asset and expiration.
        self.series: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for instrument, asset, expiration_s in query(
            "SELECT instrument, asset, expiration_s FROM instrument WHERE created_seq IS NOT NULL ORDER BY number"
        ):
            self.series[asset, expiration_s].append(instrument)
        # The number of instruments that were ever listed.
        self.listed = sum(len(series) for series in self.series.values())
