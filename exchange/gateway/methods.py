"""The methods of the protocol: access, parameters, handler, result. The documentation is generated from this table."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NamedTuple

import msgspec

from exchange.domain.enums import Side
from exchange.domain.reasons import Reason
from exchange.gateway import admin, connection, linking, queries, quoting, trading
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.api_document import openrpc_document
from exchange.gateway.authentication import authenticate, authentication_answer
from exchange.gateway.caller import Caller
from exchange.gateway.what_if import what_if, what_if_answer
from exchange.keys.key import ADMIN, NOBODY, READ, TRADE
from exchange.projections import wire_types as w
from exchange.projections.wire_types import (
    AccountView,
    Balance,
    IndexPrice,
    Instrument,
    MomentResult,
    OrderView,
    Settlement,
    Ticker,
    Timeline,
    Trade,
    UserSettlement,
    UserTrade,
)

Access = Literal["public", "private", "admin"]
Handler = Callable[[Caller, Any], Any]


class Method(NamedTuple):
    """One method. `summary` describes it in one line, `result` is the type of its result as msgspec knows types.

    `level`: the rights that it needs (`exchange.keys.key`).

    `handle` takes the caller and the parameters. It returns the result; or a command or an inquiry, and then `answer`
    makes the result from the `Change` or from the inquiry's outcome.

    `ignores`: this refusal of the command counts as success.
    `undo`: takes back the effects of `handle` on the connection if the command could not be recorded.
    `waits`: requests of the same connection are not handled until this one is answered.
    `inquires`: `handle` always returns an inquiry, so that the method records no command.
    `always_past`: the history answers also if the request names no moment.
    `prepare`: the server calls it before it accepts connections, for work that would hold up requests.
    `dry_run`: replaces `handle` if the parameter `dry_run` is true; the result is then a `dry_run_result`.
    """

    access: Access
    level: int
    summary: str
    decode: p.Decoder
    handle: Handler
    result: Any
    answer: Handler | None = None
    ignores: Reason | None = None
    undo: Callable[[Caller], None] | None = None
    waits: bool = False
    dry_run: Handler | None = None
    dry_run_result: Any = None
    prepare: Callable[[], object] | None = None
    always_past: bool = False
    inquires: bool = False

    @property
    def params(self) -> type[p.Params]:
        """The type of the parameters."""
        return self.decode.shape


def public(summary: str, params: type[p.Params], handle: Handler, result: Any, answer: Handler | None = None) -> Method:
    """A method that needs no authentication."""
    return Method("public", NOBODY, summary, p.Decoder(params), handle, result, answer)


def _private(
    summary: str, params: type[p.Params], handle: Handler, result: Any, answer: Handler | None = None
) -> Method:
    """A method of a user. One that sends a command, and so has an `answer`, needs the right to trade."""
    level = READ if answer is None else TRADE
    return Method("private", level, summary, p.Decoder(params), handle, result, answer)


def _admin(summary: str, params: type[p.Params], handle: Handler, result: Any, answer: Handler | None = None) -> Method:
    return Method("admin", ADMIN, summary, p.Decoder(params), handle, result, answer)


def _order(summary: str, side: Side) -> Method:
    method = _private(summary, p.PlaceParams, trading.place(side), r.OrderResult, trading.order_answer)
    return method._replace(dry_run=trading.dry_run(side), dry_run_result=r.DryRunResult)


def _cancel_on_disconnect(summary: str, params: type[p.Params], handle: Handler) -> Method:
    method = _private(summary, params, handle, r.SeqResult, connection.cancel_on_disconnect_answer)
    return method._replace(undo=connection.undo_cancel_on_disconnect, waits=True)


def with_api(methods: dict[str, Method]) -> dict[str, Method]:
    """These methods, and the two names of the one that answers with the OpenRPC document of all of them."""

    @cache
    def document() -> msgspec.Raw:
        """Encoded once, then kept."""
        return msgspec.Raw(msgspec.json.encode(openrpc_document(complete)))

    method = public(
        "The OpenRPC document of the methods of this server.",
        p.NoParams,
        lambda caller, params: document(),
        dict[str, Any],
    )._replace(prepare=document)
    complete = methods | {"public/get_api": method, "rpc.discover": method}
    return complete


_METHODS: dict[str, Method] = {
    "public/auth": public(
        "Log in as a user, whose account is opened if there is none, or as the administrator.",
        p.AuthParams,
        authenticate,
        r.LoginResult,
        authentication_answer,
    )._replace(ignores=Reason.ACCOUNT_EXISTS, waits=True),
    "public/subscribe": public(
        "Subscribe to channels; with `from_seq`, streams first send what they published since that command.",
        p.SubscribeParams,
        connection.subscribe,
        list[str] | r.SubscribeResult,
    ),
    "public/unsubscribe": public(
        "Unsubscribe from channels; returns those that were subscribed.",
        p.UnsubscribeParams,
        connection.unsubscribe,
        list[str],
    ),
    "public/test": public(
        "Test the connection, or answer a heartbeat's test request.",
        p.NoParams,
        connection.test,
        r.VersionResult,
    ),
    "public/set_heartbeat": public(
        "Have the exchange send a test request after `interval` seconds of silence.",
        p.HeartbeatParams,
        connection.set_heartbeat,
        r.Ok,
    ),
    "public/disable_heartbeat": public(
        "Stop heartbeats on this connection.",
        p.NoParams,
        connection.disable_heartbeat,
        r.Ok,
    ),
    "public/get_time": public(
        "The exchange time.",
        p.NoParams,
        queries.time,
        w.TimeResult,
    ),
    "public/get_status": public(
        "Whether the exchange is halted, and the assets that are reopening after a halt or a crash.",
        p.ReadParams,
        queries.status,
        w.ExchangeStatus,
    ),
    "public/get_head": public(
        "The seq, time and hash of the last command.",
        p.ReadParams,
        queries.head,
        r.HeadResult,
    ),
    "public/get_instruments": public(
        "The instruments that have not expired, in order of listing.",
        p.AssetFilter,
        queries.instruments,
        list[Instrument],
    ),
    "public/get_order_book": public(
        "The best levels of a book, best first.",
        p.OrderBookParams,
        queries.order_book,
        r.OrderBookResult,
    ),
    "public/get_trades": public(
        "The trades of an instrument, newest first.",
        p.TradesParams,
        queries.trades,
        list[Trade],
    ),
    "public/get_ticker": public(
        "Best prices, mark price, volume, volatility and Greeks of an instrument.",
        p.InstrumentRef,
        queries.ticker,
        Ticker,
    ),
    "public/get_tickers": public(
        "The tickers of all instruments that have not expired.",
        p.AssetFilter,
        queries.tickers,
        list[Ticker],
    ),
    "public/get_index_price": public(
        "The index price of an asset.",
        p.AssetRef,
        queries.index_price,
        IndexPrice,
    ),
    "public/get_index_prices": public(
        "The index prices of all assets that have one.",
        p.ReadParams,
        queries.index_prices,
        list[IndexPrice],
    ),
    "public/get_mark_surface": public(
        "The volatility surface that the marks of an asset follow.",
        p.AssetRef,
        queries.mark_surface,
        w.MarkSurface,
    ),
    "public/get_candles": public(
        "Candles of the trades of an instrument, or of the index of an asset, oldest first.",
        p.CandlesParams,
        queries.candles,
        w.Candles,
    )._replace(always_past=True),
    "public/get_historical_volatility": public(
        "The volatility of the index of an asset over 15 days, at each of the last hours.",
        p.VolatilityParams,
        queries.historical_volatility,
        list[w.HistoricalVolatility],
    )._replace(always_past=True),
    "public/get_timeline": public(
        "The journal, or a part of it, as buckets of commands with their volumes, and marks of what happened.",
        p.TimelineParams,
        queries.timeline,
        Timeline,
    )._replace(always_past=True),
    "public/get_moment": public(
        "The moment some commands, trades or seconds after another one, or before it.",
        p.MomentParams,
        queries.moment,
        MomentResult,
    )._replace(always_past=True),
    "public/get_settlements": public(
        "The settlements of expired series, newest first.",
        p.SettlementsParams,
        queries.settlements,
        list[Settlement],
    ),
    "public/get_delivery_prices": public(
        "The delivery prices of an asset's settled series, latest expiration first.",
        p.DeliveryPricesParams,
        queries.delivery_prices,
        list[w.DeliveryPrice],
    ),
    "public/get_insurance": public(
        "The balance of the insurance, which pays for accounts that cannot pay.",
        p.ReadParams,
        queries.insurance,
        r.InsuranceResult,
    ),
    "public/get_rules": public(
        "The rules in force.",
        p.ReadParams,
        queries.rules,
        w.RulesResult,
    ),
    "private/buy": _order("Place an order to buy, or with `dry_run` show what it would do.", "bid"),
    "private/sell": _order("Place an order to sell, or with `dry_run` show what it would do.", "ask"),
    "private/edit": _private(
        "Change the amount or the price of an open order.",
        p.EditParams,
        trading.edit,
        r.OrderResult,
        trading.order_answer,
    ),
    "private/place_linked_orders": _private(
        "Place two or three orders of which a fill or the end of one places or cancels the others.",
        p.LinkedOrdersParams,
        linking.place_linked_orders,
        w.LinkedOrdersResult,
        linking.linked_orders_answer,
    ),
    "private/cancel": _private(
        "Cancel an open order.",
        p.CancelParams,
        trading.cancel,
        w.CancelResult,
        trading.cancel_answer,
    ),
    "private/cancel_all": _private(
        "Cancel all open orders, or those of one instrument, asset, kind or label.",
        p.CancelAllParams,
        trading.cancel_all,
        w.CancelAllResult,
        trading.cancel_all_answer,
    ),
    "private/mass_quote": _private(
        "Place, replace or cancel many two-sided quotes of an MMP group at once.",
        p.MassQuoteParams,
        quoting.mass_quote,
        w.MassQuoteResult,
        quoting.mass_quote_answer,
    ),
    "private/cancel_quotes": _private(
        "Cancel quotes: all of them, or those that fit every filter that is given.",
        p.CancelQuotesParams,
        quoting.cancel_quotes,
        w.CancelAllResult,
        trading.cancel_all_answer,
    ),
    "private/set_mmp_config": _private(
        "Create an MMP group, replace its limits, or remove it.",
        p.MmpConfigParams,
        quoting.set_mmp_config,
        w.MmpGroupResult,
        quoting.mmp_answer,
    ),
    "private/reset_mmp": _private(
        "End the freeze of an MMP group.",
        p.MmpGroupRef,
        quoting.reset_mmp,
        w.MmpGroupResult,
        quoting.mmp_answer,
    ),
    "private/get_mmp_config": _private(
        "The MMP groups of the user, with their limits and freezes.",
        p.MmpGroupFilter,
        quoting.get_mmp_config,
        list[w.MmpGroupView],
    ),
    "private/close_position": _private(
        "Place a reduce-only order for the whole position in an instrument.",
        p.ClosePositionParams,
        trading.close_position,
        r.OrderResult,
        trading.order_answer,
    )._replace(waits=True),
    "private/get_margin": _private(
        "The cash that a limit order would lock, and whether it would be accepted.",
        p.MarginParams,
        trading.get_margin,
        w.MarginResult,
    ),
    "private/simulate": _private(
        "The margins and Greeks of the account with other positions. Nothing is recorded.",
        p.SimulateParams,
        queries.simulate,
        w.SimulatedAccount,
    ),
    "private/explain_order": _private(
        "The life of one of the user's orders, oldest step first.",
        p.ExplainParams,
        trading.explain_order,
        r.TimelineResult,
    )._replace(always_past=True),
    "private/get_order": _private(
        "The state of one of the user's orders, open or finished.",
        p.LabelledOrderRef,
        queries.order,
        OrderView,
    ),
    "private/get_open_orders": _private(
        "The user's open orders, oldest first.",
        p.OpenOrdersParams,
        queries.open_orders,
        list[OrderView],
    ),
    "private/get_order_history": _private(
        "The user's finished orders, newest first.",
        p.OrderHistoryParams,
        queries.order_history,
        list[OrderView],
    ),
    "private/get_user_trades": _private(
        "The user's trades, newest first.",
        p.UserTradesParams,
        queries.user_trades,
        list[UserTrade],
    ),
    "private/get_settlements": _private(
        "The settlements of the user's positions, newest first.",
        p.UserSettlementsParams,
        queries.user_settlements,
        list[UserSettlement],
    ),
    "private/get_balance": _private(
        "The user's balance.",
        p.ReadParams,
        queries.balance,
        Balance,
    ),
    "private/get_positions": _private(
        "The user's positions with margins, profits and Greeks.",
        p.AssetFilter,
        queries.positions,
        w.PositionsResult,
    ),
    "private/get_transaction_log": _private(
        "The movements of the user's cash, newest first, each with its cause and the balance after it.",
        p.RangeParams,
        queries.transaction_log,
        w.TransactionsResult,
    )._replace(always_past=True),
    "private/get_profit_history": _private(
        "The profit of the account over time, in parts, with equity, margins and Greeks.",
        p.ProfitHistoryParams,
        queries.profit_history,
        w.ProfitHistory,
    )._replace(always_past=True),
    "private/what_if": _private(
        "The account as it would be without some orders, with other rules, or with other index prices.",
        p.WhatIfParams,
        what_if,
        w.WhatIfResult,
        what_if_answer,
    )._replace(level=READ, waits=True, inquires=True),
    "private/get_account": _private(
        "The user's balance, positions, profits and limits.",
        p.ReadParams,
        queries.account,
        AccountView,
    ),
    "private/enable_cancel_on_disconnect": _cancel_on_disconnect(
        "Cancel the open orders of this connection, or all of the user, when it ends.",
        p.CancelOnDisconnectParams,
        connection.enable_cancel_on_disconnect,
    ),
    "private/disable_cancel_on_disconnect": _cancel_on_disconnect(
        "Keep the open orders when this connection ends.",
        p.CommandParams,
        connection.disable_cancel_on_disconnect,
    ),
    "admin/create_instrument": _admin(
        "List an instrument.",
        p.NewInstrumentParams,
        admin.create_instrument,
        r.InstrumentResult,
        admin.instrument_answer,
    ),
    "admin/pause": _admin(
        "Pause trading in an instrument, a series, an asset or everywhere.",
        p.InstrumentsSelector,
        admin.pause,
        r.PauseResult,
        admin.pause_answer,
    ),
    "admin/resume": _admin(
        "Resume trading in an instrument, a series, an asset or everywhere.",
        p.InstrumentsSelector,
        admin.resume,
        r.PauseResult,
        admin.pause_answer,
    ),
    "admin/halt": _admin(
        "Halt the exchange: only reading and cancelling remain possible.",
        p.CommandParams,
        admin.set_halt(True),
        r.HaltResult,
        admin.halt_answer(True),
    ),
    "admin/end_halt": _admin(
        "End the halt of the exchange.",
        p.CommandParams,
        admin.set_halt(False),
        r.HaltResult,
        admin.halt_answer(False),
    ),
    "admin/confirm_time": _admin(
        "Accept the time of the system clock after it jumped, so that commands are accepted again.",
        p.NoParams,
        admin.confirm_time,
        r.ConfirmedTime,
    ),
    "admin/get_metrics": _admin(
        "Get the metrics of the running exchange. From the first call on, it counts requests and batches.",
        p.NoParams,
        admin.get_metrics,
        r.MetricsResult,
        admin.metrics_answer,
    )._replace(waits=True, inquires=True),
    "admin/set_index_price": _admin(
        "Set the index price of an asset.",
        p.IndexPriceParams,
        admin.set_index_price,
        IndexPrice,
        admin.index_answer,
    ),
    "admin/settle": _admin(
        "Settle an expired series whose settlement is delayed.",
        p.SettleParams,
        admin.settle,
        Settlement,
        admin.settle_answer,
    ),
    "admin/set_rules": _admin(
        "Replace the rules; a field that is left out gets its default. With `dry_run`, show the effects.",
        p.NewRulesParams,
        admin.set_rules,
        w.RulesResult,
        admin.rules_answer,
    )._replace(dry_run=admin.dry_run_rules, dry_run_result=r.RulesDryRunResult),
    "admin/deposit": _admin(
        "Add cash to an account.",
        p.PaymentParams,
        admin.deposit,
        Balance,
        admin.payment_answer,
    ),
    "admin/withdraw": _admin(
        "Take available cash out of an account.",
        p.PaymentParams,
        admin.withdraw,
        Balance,
        admin.payment_answer,
    ),
    "admin/reset_account": _admin(
        "Cancel the orders of an account without positions, repay its debt, and give it the starting cash.",
        p.AccountSelector,
        admin.reset_account,
        Balance,
        admin.reset_answer,
    ),
    "admin/suspend": _admin(
        "Forbid an account to place and edit orders.",
        p.SuspensionParams,
        admin.set_suspended(True),
        r.SuspensionResult,
        admin.suspension_answer,
    ),
    "admin/reinstate": _admin(
        "End the suspension of an account.",
        p.SuspensionParams,
        admin.set_suspended(False),
        r.SuspensionResult,
        admin.suspension_answer,
    ),
    "admin/set_limits": _admin(
        "Set an account's own limits; a limit that is left out follows the rules.",
        p.UserLimitsParams,
        admin.set_limits,
        r.UserLimitsResult,
        admin.limits_answer,
    ),
    "admin/cancel_all": _admin(
        "Cancel all open orders of a user, or those in one instrument.",
        p.UserInstrumentFilter,
        admin.cancel_user_orders,
        w.CancelAllResult,
        trading.cancel_all_answer,
    ),
    "admin/get_account": _admin(
        "The balance, positions, profits and limits of any account.",
        p.UserRef,
        admin.get_account,
        AccountView,
    ),
    "admin/get_accounts": _admin(
        "All accounts in the order in which they were opened: cash, suspension and open orders.",
        p.AccountsParams,
        admin.get_accounts,
        r.AccountsResult,
    ),
}

METHODS: dict[str, Method] = with_api(_METHODS)
