"""The table of Deribit's methods. Those that a client's order or login goes through are those of `/`, translated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from exchange import __version__
from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import account, market, shapes, trading
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit.channels import DeribitChannels
from exchange.gateway.deribit.login import LoginMethod
from exchange.gateway.deribit.past import past_methods
from exchange.gateway.deribit.tokens import Tokens
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.methods import Method, public
from exchange.keys.key import READ

# The parameters of a method here, as those of the method on `/`.
ToNative = Callable[[Any], p.Params]
# The result of the method on `/`, as the result here.
FromNative = Callable[[Caller, Any], Any]


def deribit_methods(native: Mapping[str, Method], tokens: Tokens | None = None) -> dict[str, Method]:
    """Deribit's methods on these of the exchange."""
    tokens = tokens or Tokens(time.monotonic)

    def translated(
        name: str, summary: str, params: type[d.DeribitParams], to: ToNative, back: FromNative, result: Any
    ) -> Method:
        return _translated(native[name], summary, params, to, back, result)

    order = (trading.placed, shapes.Placed)
    cancelled = (trading.cancelled, shapes.Order)
    counted = (trading.count_cancelled, int)
    return (
        past_methods(native)
        | _NOT_OFFERED
        | {
            "public/auth": LoginMethod(native["public/auth"], tokens).method(),
            "public/hello": public("Name the client.", d.HelloParams, _hello, dict[str, str]),
            "public/test": public("Test the connection.", d.TestParams, _test, dict[str, str]),
            "public/set_heartbeat": native["public/set_heartbeat"]._replace(decode=p.Decoder(d.HeartbeatParams)),
            "public/disable_heartbeat": native["public/disable_heartbeat"]._replace(decode=p.Decoder(d.DeribitParams)),
            "public/get_time": public("The time.", d.DeribitParams, market.time, int),
            "public/status": public("Whether trading is locked.", d.DeribitParams, market.status, dict[str, Any]),
            "public/get_currencies": public("USDC.", d.DeribitParams, market.currencies, list[dict[str, Any]]),
            "public/get_instruments": public(
                "The options.", d.InstrumentsParams, market.instruments, list[shapes.Instrument]
            ),
            "public/get_instrument": public("One option.", d.InstrumentParams, market.instrument, shapes.Instrument),
            "public/get_contract_size": public(
                "The size of a contract.", d.InstrumentParams, market.contract_size, dict[str, float]
            ),
            "public/get_index_price": public("An index price.", d.IndexParams, market.index_price, dict[str, float]),
            "public/get_index_price_names": public("The indexes.", d.DeribitParams, market.index_names, list[str]),
            "public/ticker": public("The ticker of an option.", d.InstrumentParams, market.ticker, shapes.Ticker),
            "public/get_order_book": public("A book and its ticker.", d.BookParams, market.order_book, shapes.Book),
            "public/get_book_summary_by_currency": public(
                "Short tickers.", d.CurrencyParams, market.book_summaries, list[shapes.BookSummary]
            ),
            "public/get_book_summary_by_instrument": public(
                "A short ticker.", d.InstrumentParams, market.book_summary, list[shapes.BookSummary]
            ),
            "public/get_last_trades_by_instrument": public(
                "The newest trades.", d.TradesParams, market.last_trades, dict[str, Any]
            ),
            "public/get_last_trades_by_currency": public(
                "The newest trades.", d.CurrencyLastTradesParams, market.last_trades_of_currency, dict[str, Any]
            ),
            "private/get_deposits": _read("None.", d.DeribitParams, market.no_transfers, dict[str, Any]),
            "private/get_withdrawals": _read("None.", d.DeribitParams, market.no_transfers, dict[str, Any]),
            "private/get_transfers": _read("None.", d.DeribitParams, market.no_transfers, dict[str, Any]),
            "public/get_delivery_prices": public(
                "Delivery prices.", d.DeliveryPricesParams, market.delivery_prices, dict[str, Any]
            ),
            "public/subscribe": public("Subscribe to channels.", d.ChannelsParams, _subscribe, list[str]),
            "private/subscribe": _read("Subscribe to channels.", d.ChannelsParams, _subscribe, list[str]),
            "public/unsubscribe": public("Unsubscribe.", d.ChannelsParams, _unsubscribe, list[str]),
            "private/unsubscribe": _read("Unsubscribe.", d.ChannelsParams, _unsubscribe, list[str]),
            "public/unsubscribe_all": public("Unsubscribe from all.", d.DeribitParams, _unsubscribe_all, str),
            "private/unsubscribe_all": _read("Unsubscribe from all.", d.DeribitParams, _unsubscribe_all, str),
            "private/buy": translated("private/buy", "Buy.", d.OrderParams, trading.place, *order),
            "private/sell": translated("private/sell", "Sell.", d.OrderParams, trading.place, *order),
            "private/edit": translated("private/edit", "Edit an order.", d.EditParams, trading.edit, *order),
            "private/edit_by_label": translated(
                "private/edit", "Edit the order with a label.", d.EditByLabelParams, trading.edit_by_label, *order
            ),
            "private/cancel": translated(
                "private/cancel", "Cancel an order.", d.OrderIdParams, trading.cancel, *cancelled
            ),
            "private/cancel_all": translated(
                "private/cancel_all", "Cancel all orders.", d.DeribitParams, trading.cancel_all, *counted
            ),
            "private/cancel_all_by_instrument": translated(
                "private/cancel_all",
                "Cancel the orders in one option.",
                d.InstrumentParams,
                trading.cancel_all_of_instrument,
                *counted,
            ),
            "private/cancel_all_by_currency": translated(
                "private/cancel_all",
                "Cancel the orders of a currency.",
                d.CurrencyParams,
                trading.cancel_all_by_currency,
                *counted,
            ),
            "private/cancel_by_label": translated(
                "private/cancel_all",
                "Cancel the orders with a label.",
                d.LabelParams,
                trading.cancel_by_label,
                *counted,
            ),
            "private/close_position": translated(
                "private/close_position", "Close a position.", d.ClosePositionParams, trading.close_position, *order
            ),
            "private/enable_cancel_on_disconnect": translated(
                "private/enable_cancel_on_disconnect",
                "Cancel orders when the connection ends.",
                d.ScopeParams,
                lambda params: p.CancelOnDisconnectParams(scope=params.scope),
                _ok,
                str,
            ),
            "private/disable_cancel_on_disconnect": translated(
                "private/disable_cancel_on_disconnect",
                "Keep orders when the connection ends.",
                d.DeribitParams,
                lambda _params: p.CommandParams(),
                _ok,
                str,
            ),
            "private/get_open_orders": _read("The open orders.", d.OpenOrdersParams, trading.open_orders),
            "private/get_open_orders_by_currency": _read("The open orders.", d.OpenOrdersParams, trading.open_orders),
            "private/get_open_orders_by_instrument": _read(
                "The open orders in one option.", d.OpenOrdersOfInstrumentParams, trading.open_orders_of_instrument
            ),
            "private/get_open_orders_by_label": _read(
                "The open orders with a label.", d.LabelParams, trading.open_orders_by_label
            ),
            "private/get_order_state": _read("One order.", d.OrderIdParams, trading.order_state, shapes.Order),
            "private/get_order_state_by_label": _read(
                "The orders with a label.", d.LabelParams, trading.order_states_by_label
            ),
            "private/get_order_history_by_currency": _read("Ended orders.", d.HistoryParams, trading.order_history),
            "private/get_order_history_by_instrument": _read(
                "Ended orders in one option.", d.HistoryOfInstrumentParams, trading.order_history_of_instrument
            ),
            "private/get_user_trades_by_currency": _read(
                "The user's trades.", d.HistoryParams, trading.user_trades, dict[str, Any]
            ),
            "private/get_user_trades_by_instrument": _read(
                "The user's trades in one option.",
                d.HistoryOfInstrumentParams,
                trading.user_trades_of_instrument,
                dict[str, Any],
            ),
            "private/get_user_trades_by_order": _read(
                "The trades of one order.", d.TradesOfOrderParams, trading.user_trades_of_order, list[shapes.OwnTrade]
            ),
            "private/get_margins": _read(
                "What an order would lock.",
                d.MarginsParams,
                account.margins(native["private/get_margin"]),
                dict[str, float],
            ),
            "private/get_positions": _read(
                "The positions.", d.CurrencyParams, account.positions, list[shapes.Position]
            ),
            "private/get_position": _read("One position.", d.InstrumentParams, account.position, shapes.Position),
            "private/get_account_summary": _read(
                "The account.", d.AccountParams, account.summary, shapes.AccountSummary
            ),
            "private/get_account_summaries": _read("The account.", d.AccountParams, account.summaries, dict[str, Any]),
        }
    )


def _read(
    summary: str, params: type[d.DeribitParams], handle: Callable[[Caller, Any], Any], result: Any = list[shapes.Order]
) -> Method:
    return Method("private", READ, summary, p.Decoder(params), handle, result)


def _translated(
    native: Method, summary: str, params: type[d.DeribitParams], to: ToNative, back: FromNative, result: Any
) -> Method:
    """A method of `/` with other parameters and another result. Its command, if it has one, is the same."""
    answer = native.answer
    assert answer is not None, "only methods with commands are translated"

    def handle(caller: Caller, given: Any) -> Any:
        return native.handle(caller, to(given))

    def answered(caller: Caller, change: Any) -> Any:
        return back(caller, answer(caller, change))

    return native._replace(
        summary=summary,
        decode=p.Decoder(params),
        handle=handle,
        result=result,
        answer=answered,
        dry_run=None,
        dry_run_result=None,
    )


def _channels(caller: Caller) -> DeribitChannels:
    if caller.channels is None:
        caller.channels = DeribitChannels(caller)
        caller.connection.translate(caller.channels.translate)
    found: DeribitChannels = caller.channels
    return found


def _subscribe(caller: Caller, params: d.ChannelsParams) -> list[str]:
    return _channels(caller).subscribe(params.channels)


def _unsubscribe(caller: Caller, params: d.ChannelsParams) -> list[str]:
    return _channels(caller).unsubscribe(params.channels)


def _unsubscribe_all(caller: Caller, _params: d.DeribitParams) -> str:
    _channels(caller).unsubscribe_all()
    return "ok"


def _ok(_caller: Caller, _result: Any) -> str:
    return "ok"


def _hello(_caller: Caller, _params: d.HelloParams) -> dict[str, str]:
    return {"version": __version__}


def _test(caller: Caller, params: d.TestParams) -> dict[str, str]:
    caller.connection.on_test_reply()
    if params.expected_result == "exception":
        raise RpcError("internal_error", "the client asked for an exception")
    return {"version": __version__}


# Methods of Deribit for what this exchange does not have. One clear error says so.
_NOT_OFFERED = {
    name: public("Refused: this exchange has options in USDC only.", d.DeribitParams, market.not_offered, None)
    for name in (
        "private/create_deposit_address",
        "private/get_current_deposit_address",
        "private/withdraw",
        "private/submit_transfer_to_user",
        "private/submit_transfer_between_subaccounts",
        "private/execute_block_trade",
        "private/verify_block_trade",
        "private/create_block_rfq",
        "private/accept_block_rfq",
        "private/create_combo",
        "private/get_leg_prices",
        "public/get_combos",
        "public/get_combo_ids",
        "public/get_combo_details",
        "public/get_funding_rate_value",
        "public/get_funding_rate_history",
        "public/get_funding_chart_data",
    )
}
