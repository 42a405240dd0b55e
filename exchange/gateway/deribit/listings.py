"""The instruments, with the times when they were listed, and their settlements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit.market import KINDS, asset_filter
from exchange.gateway.deribit.questions import NO_MORE, Fallback, ask, of_history, of_own_history
from exchange.gateway.instrument_ids import known_id, listed_id
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.methods import Method, public
from exchange.projections import wire_types as w

# Times of instruments that are no longer listed are forgotten beyond this number.
TIMES_KEPT = 10_000
_decode_times = msgspec.json.Decoder(dict[str, int]).decode


def listing_methods() -> dict[str, Method]:
    """The methods about instruments, marks and settlements that the history answers, at least in part."""
    listings = _Listings()
    settlements = Fallback(_last_settlement, _no_settlements)
    own_settlements = Fallback(_last_own_settlement, _no_settlements)
    page = dict[str, Any]
    found = {
        "public/get_instruments": listings.method(
            "The options.", d.InstrumentsParams, _instruments, lambda found: found, list[shapes.Instrument]
        ),
        "public/get_instrument": listings.method(
            "One option.", d.InstrumentParams, _instrument, lambda found: found[0], shapes.Instrument
        ),
        "public/get_mark_price_history": of_history(
            "mark_prices",
            "The mark prices of an option.",
            d.MarkHistoryParams,
            list[tuple[int, float]],
            Fallback(_now, lambda _caller, _params: []),
        ),
    }
    for of, params in (("currency", d.SettlementsParams), ("instrument", d.InstrumentSettlementsParams)):
        found |= {
            f"public/get_last_settlements_by_{of}": of_history(
                "settlements", "Deliveries of options.", params, page, settlements
            ),
            f"private/get_settlement_history_by_{of}": of_own_history(
                "own_settlements", "Deliveries of the user's positions.", params, page, own_settlements
            ),
        }
    return found


class _Listings:
    """The instruments. When one was listed never changes, so that the history is asked once."""

    def __init__(self) -> None:
        # In milliseconds, by instrument.
        self._created: dict[str, int] = {}

    def method(
        self,
        summary: str,
        params: type[d.DeribitParams],
        find: Callable[[Caller, Any], list[w.Instrument]],
        back: Callable[[list[shapes.Instrument]], Any],
        result: Any,
    ) -> Method:
        """A method that answers with instruments: `find` finds them, `back` makes the result."""

        def told(caller: Caller, given: Any) -> Any:
            return back([self._shape(caller, one) for one in find(caller, given)])

        def handle(caller: Caller, given: Any) -> Any:
            names = [one.instrument_id for one in find(caller, given) if one.instrument_id not in self._created]
            return (
                ask("created", caller, d.NamesParams(names=names), caller.views.seq) if names else told(caller, given)
            )

        def answer(caller: Caller, outcome: msgspec.Raw | RpcError) -> Any:
            # Without the history the instruments are told without the times.
            if not isinstance(outcome, RpcError):
                if len(self._created) > TIMES_KEPT:
                    self._created = {}
                self._created |= _decode_times(outcome)
            return told(caller, caller.asked)

        return public(summary, params, handle, result, answer)._replace(waits=True)

    def _shape(self, caller: Caller, listed: w.Instrument) -> shapes.Instrument:
        shape = shapes.instrument(caller.views, listed)
        created = self._created.get(listed.instrument_id)
        if created is not None:
            shape.creation_timestamp = created
        return shape


def _instruments(caller: Caller, params: d.InstrumentsParams) -> list[w.Instrument]:
    views, asset = caller.views, asset_filter(params.currency, caller.views)
    return [
        one
        for one in views.instruments.values()
        if (one.state == "expired") == params.expired and asset in (None, one.asset) and params.kind in KINDS
    ]


def _instrument(caller: Caller, params: d.InstrumentParams) -> list[w.Instrument]:
    return [caller.views.instruments[listed_id(params.instrument_name, caller.views)]]


def _now(caller: Caller, params: d.MarkHistoryParams) -> int:
    known_id(params.instrument_name, caller.views)
    return caller.views.seq


def _last_settlement(caller: Caller, _params: d.SettlementsParams) -> int | None:
    return max((one.seq for one in caller.views.settlements.series.values()), default=None)


def _last_own_settlement(caller: Caller, _params: d.SettlementsParams) -> int | None:
    settled = caller.views.settlements.users.get(caller.user_id)
    return settled[-1].seq if settled else None


def _no_settlements(_caller: Caller, _params: d.SettlementsParams) -> dict[str, Any]:
    return {"settlements": [], "continuation": NO_MORE}
