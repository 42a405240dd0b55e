"""The table of Deribit's methods. Those that a client's order or login goes through are those of `/`, translated."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from exchange import __version__
from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import account, market, order_reports, shapes, trading
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit.cancelling import cancelling_methods
from exchange.gateway.deribit.channels import DeribitChannels
from exchange.gateway.deribit.listings import listing_methods
from exchange.gateway.deribit.login import login_methods
from exchange.gateway.deribit.method_kinds import read, translated
from exchange.gateway.deribit.not_offered import methods_not_offered
from exchange.gateway.deribit.past import past_methods
from exchange.gateway.deribit.quoting import quoting_methods
from exchange.gateway.deribit.tokens import Tokens
from exchange.gateway.deribit.trade_lists import trade_list_methods
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.methods import Method, public


def deribit_methods(native: Mapping[str, Method], tokens: Tokens | None = None) -> dict[str, Method]:
    """Deribit's methods on these of the exchange."""
    tokens = tokens or Tokens(time.monotonic)

    order = (trading.placed, shapes.Placed)
    return (
        past_methods(native)
        | methods_not_offered()
        | trade_list_methods()
        | listing_methods()
        | quoting_methods(native)
        | cancelling_methods(native)
        | login_methods(native, tokens)
        | {
            "public/hello": public("Name the client.", d.HelloParams, _hello, dict[str, str]),
            "public/test": public("Test the connection.", d.TestParams, _test, dict[str, str]),
            "public/set_heartbeat": native["public/set_heartbeat"]._replace(decode=p.Decoder(d.HeartbeatParams)),
            "public/disable_heartbeat": native["public/disable_heartbeat"]._replace(decode=p.Decoder(d.DeribitParams)),
            "public/get_time": public("The time.", d.DeribitParams, market.time, int),
            "public/status": public("Whether trading is locked.", d.DeribitParams, market.status, dict[str, Any]),
            "public/get_currencies": public("USDC.", d.DeribitParams, market.currencies, list[dict[str, Any]]),
            "public/get_contract_size": public(
                "The size of a contract.", d.InstrumentParams, market.contract_size, dict[str, float]
            ),
            "public/get_index_price": public("An index price.", d.IndexParams, market.index_price, dict[str, float]),
            "public/get_index_price_names": public("The indexes.", d.IndexNamesParams, market.index_names, list[Any]),
            "public/get_supported_index_names": public(
                "The indexes.", d.IndexNamesParams, market.index_names, list[Any]
            ),
            "public/get_expirations": public(
                "The expirations.", d.ExpirationsParams, market.expirations, dict[str, Any]
            ),
            "public/get_trade_volumes": public(
                "The volumes of a day.", d.DeribitParams, market.trade_volumes, list[dict[str, Any]]
            ),
            "public/get_order_book_by_instrument_id": public(
                "A book and its ticker.", d.BookByIdParams, market.order_book_by_id, shapes.Book
            ),
            "public/get_announcements": public("None.", d.DeribitParams, market.no_announcements, list[Any]),
            "private/get_new_announcements": read("None.", d.DeribitParams, market.no_announcements, list[Any]),
            "private/get_subaccounts": read(
                "The account.", d.SubaccountsParams, account.subaccounts, list[dict[str, Any]]
            ),
            "private/get_subaccounts_details": read(
                "The account.", d.SubaccountsDetailsParams, account.subaccounts_details, list[dict[str, Any]]
            ),
            "private/get_user_locks": read(
                "Whether the account is suspended.", d.DeribitParams, account.user_locks, list[dict[str, Any]]
            ),
            "private/simulate_portfolio": read(
                "The account with other positions.", d.SimulatePortfolioParams, account.simulation, dict[str, Any]
            ),
            "public/ticker": public("The ticker of an option.", d.InstrumentParams, market.ticker, shapes.Ticker),
            "public/get_order_book": public("A book and its ticker.", d.BookParams, market.order_book, shapes.Book),
            "public/get_book_summary_by_currency": public(
                "Short tickers.", d.CurrencyParams, market.book_summaries, list[shapes.BookSummary]
            ),
            "public/get_book_summary_by_instrument": public(
                "A short ticker.", d.InstrumentParams, market.book_summary, list[shapes.BookSummary]
            ),
            "private/get_deposits": read("None.", d.DeribitParams, market.no_transfers, dict[str, Any]),
            "private/get_withdrawals": read("None.", d.DeribitParams, market.no_transfers, dict[str, Any]),
            "private/get_transfers": read("None.", d.DeribitParams, market.no_transfers, dict[str, Any]),
            "public/get_delivery_prices": public(
                "Delivery prices.", d.DeliveryPricesParams, market.delivery_prices, dict[str, Any]
            ),
            "public/subscribe": public("Subscribe to channels.", d.ChannelsParams, _subscribe, list[str]),
            "private/subscribe": read("Subscribe to channels.", d.ChannelsParams, _subscribe, list[str]),
            "public/unsubscribe": public("Unsubscribe.", d.ChannelsParams, _unsubscribe, list[str]),
            "private/unsubscribe": read("Unsubscribe.", d.ChannelsParams, _unsubscribe, list[str]),
            "public/unsubscribe_all": public("Unsubscribe from all.", d.DeribitParams, _unsubscribe_all, str),
            "private/unsubscribe_all": read("Unsubscribe from all.", d.DeribitParams, _unsubscribe_all, str),
            "private/buy": trading.placing_method("Buy.", "bid", native),
            "private/sell": trading.placing_method("Sell.", "ask", native),
            "private/edit": translated(native["private/edit"], "Edit an order.", d.EditParams, trading.edit, *order),
            "private/edit_by_label": translated(
                native["private/edit"],
                "Edit the order with a label.",
                d.EditByLabelParams,
                trading.edit_by_label,
                *order,
            ),
            "private/cancel": translated(
                native["private/cancel"],
                "Cancel an order.",
                d.OrderIdParams,
                trading.cancel,
                trading.cancelled,
                shapes.Order,
            ),
            "private/close_position": translated(
                native["private/close_position"],
                "Close a position.",
                d.ClosePositionParams,
                trading.close_position,
                *order,
            ),
            "private/enable_cancel_on_disconnect": translated(
                native["private/enable_cancel_on_disconnect"],
                "Cancel orders when the connection ends.",
                d.ScopeParams,
                lambda params: p.CancelOnDisconnectParams(scope=params.scope),
                _ok,
                str,
            ),
            "private/disable_cancel_on_disconnect": translated(
                native["private/disable_cancel_on_disconnect"],
                "Keep orders when the connection ends.",
                d.DeribitParams,
                lambda _params: p.CommandParams(),
                _ok,
                str,
            ),
            "private/get_cancel_on_disconnect": read(
                "Whether orders are cancelled when the connection ends.",
                d.ScopeParams,
                lambda caller, params: {
                    "scope": params.scope,
                    "enabled": caller.connection.cancel_scope == params.scope,
                },
                dict[str, Any],
            ),
            "private/get_open_orders": read("The open orders.", d.OpenOrdersParams, trading.open_orders),
            "private/get_open_orders_by_currency": read("The open orders.", d.OpenOrdersParams, trading.open_orders),
            "private/get_open_orders_by_instrument": read(
                "The open orders in one option.", d.OpenOrdersOfInstrumentParams, trading.open_orders_of_instrument
            ),
            "private/get_open_orders_by_label": read(
                "The open orders with a label.", d.LabelParams, trading.open_orders_by_label
            ),
            "private/get_order_state": read("One order.", d.OrderIdParams, trading.order_state, shapes.Order),
            "private/get_order_state_by_label": read(
                "The orders with a label.", d.LabelParams, trading.order_states_by_label
            ),
            "private/get_order_history_by_currency": read("Ended orders.", d.HistoryParams, trading.order_history),
            "private/get_order_history_by_instrument": read(
                "Ended orders in one option.", d.HistoryOfInstrumentParams, trading.order_history_of_instrument
            ),
            "private/get_order_margin_by_ids": read(
                "What orders lock.", d.OrderIdsParams, order_reports.order_margins, list[dict[str, Any]]
            ),
            "private/get_trigger_order_history": read(
                "The trigger orders.", d.TriggerHistoryParams, order_reports.trigger_history, dict[str, Any]
            ),
            "private/get_margins": read(
                "What an order would lock.",
                d.MarginsParams,
                account.margins(native["private/get_margin"]),
                dict[str, float],
            ),
            "private/get_positions": read("The positions.", d.CurrencyParams, account.positions, list[shapes.Position]),
            "private/get_position": read("One position.", d.InstrumentParams, account.position, shapes.Position),
            "private/get_account_summary": read(
                "The account.", d.AccountParams, account.summary, shapes.AccountSummary
            ),
            "private/get_account_summaries": read("The account.", d.AccountParams, account.summaries, dict[str, Any]),
        }
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
