"""The meaning of each field on the wire, for the generated documents: a parameter, or a part of a result or message.

A name means the same in each type that has it, so it stands here once. An entry `Type.name` replaces it in one type.
The names and the types are those of the wire. The unit follows from the name of the field in the code, such as
`price_micros`, and is given here only if that name has none.
"""

from typing import NamedTuple

from exchange.projections.wire_types import WIRE_NAMES


class Field(NamedTuple):
    """One or two sentences, and the unit if the name of the field in the code has none."""

    description: str
    unit: str = ""


MICROS = "micros of USDC"
MILLI = "millicontracts"

_RECEIPT = "The receipt of the command; only if the request asked for it."

# The suffixes of names in the code. The first one that fits counts.
_UNITS = {
    "_micros": MICROS,
    "_milli": MILLI,
    "_us": "microseconds since the Unix epoch",
    "_ppm": "parts per million",
    "_usdc": "USDC",
    "_s": "seconds",
}
# Parameters have the same name in the code as on the wire.
_NAMES_IN_CODE = {wire_name: name for name, wire_name in WIRE_NAMES.items()}


def field_of(type_name: str, wire_name: str, name: str) -> Field:
    """The meaning of a field with its unit; `name` is its name in the code. Raises KeyError if it has no entry."""
    found = FIELDS.get(f"{type_name}.{wire_name}") or FIELDS[wire_name]
    return found if found.unit else found._replace(unit=_unit_of(_NAMES_IN_CODE.get(name, name)))


def _unit_of(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


FIELDS: dict[str, Field] = {
    # Of several types, by name.
    "accounts": Field("Accounts in the order in which they were opened."),
    "after": Field("Only accounts opened after that of this user, for the next page."),
    "amount": Field("Size of the order.", MILLI),
    "asks": Field("Price levels of the asks, the lowest price first."),
    "at_seq": Field("Answer as right after this command. Not together with at_ts_us."),
    "at_ts_us": Field("Answer as at this time, after the last command at or before it."),
    "asset": Field("Asset of the options, such as SOL."),
    "available": Field("Cash that is not locked. Below zero if the index price moved against short positions."),
    "average_price": Field("Average price of the fills, rounded to the nearest micro; null before the first fill."),
    "before": Field("Only entries with a smaller id than this one, for the next page."),
    "bids": Field("Price levels of the bids, the highest price first."),
    "cancel_reason": Field("The reason of the cancellation; only if the order was cancelled."),
    "channels": Field("Names of channels."),
    "client_order_id": Field("The user's own key of the order, 1 to 64 characters."),
    "count": Field("Maximum number of entries."),
    "currency": Field("Currency of the account: USDC."),
    "decimals": Field("Decimal places of amounts of cash: 6, because they are micros."),
    "delivery_price": Field("Settlement price of the series; null until it is settled."),
    "dry_run": Field("True for a dry run: the answer says what would happen, and nothing is recorded."),
    "equity": Field("Cash plus the value of the positions; null if it is beyond 2^53 - 1."),
    "expiration": Field("Time of expiry, at 08:00 UTC.", "seconds since the Unix epoch"),
    "fee": Field("Fee that the user paid."),
    "filled": Field("Size that has traded."),
    "halted": Field("True while the exchange is halted: only reading and cancelling are possible."),
    "instrument_id": Field("Id of the instrument, such as SOL_USDC-28FEB26-150-C."),
    "label": Field("The user's own name of a group of orders, 1 to 64 characters."),
    "liquidation": Field("True if the exchange placed the order to reduce a position of the user."),
    "liquidity": Field("maker: the user's order rested in the book. taker: it traded on arrival."),
    "locked": Field("Cash that open orders and short positions lock."),
    "maintenance": Field("Maintenance margin: an account with less cash is liquidated."),
    "mark": Field("Mark price; null if the asset has no index price."),
    "min_size": Field("Smallest size of an order."),
    "open_orders": Field("Number of open orders of the user."),
    "open_orders_max": Field("Maximum number of open orders of the user."),
    "option_type": Field("call or put."),
    "order": Field("The order after the command."),
    "order_id": Field("Id of the order: an integer that is never used again, also after a restart."),
    "order_ids": Field("Ids of the cancelled orders, the oldest first."),
    "position_max": Field("Maximum position of the user in one instrument, open orders included; 0: no limit."),
    "positions": Field("The positions of the user."),
    "transactions": Field("Entries of the log, the newest first."),
    "EditedStep.cause": Field("Why the exchange made the order smaller. Left out if the user edited it."),
    "cause": Field("Kind of the command that moved the cash, such as place_order, set_index_price or end_day."),
    "start_us": Field("Only records of commands at or after this time."),
    "end_us": Field("Only records of commands at or before this time."),
    "greeks": Field("Greeks of the positions, by asset: the sums of contracts times Greeks. Some may have none."),
    "initial_margin": Field("Initial margin of the short contracts."),
    "maintenance_margin": Field("Maintenance margin of the short contracts."),
    "post_only": Field(
        "True if the order must rest. If it would trade on arrival, it gets the best price at which it does not: one "
        "tick from the best price of the other side."
    ),
    "refilled": Field("Part of an iceberg order that the book shows again after the fill, at the back of the queue."),
    "requested_price": Field("Price in the request, if a post-only order got another one."),
    "display_amount": Field("Part of an iceberg order that the book shows now. Left out for other orders."),
    "refresh_amount": Field(
        "Part of an iceberg order that the book shows at once. When it is filled, the order shows so much again, at "
        "the back of the queue of its price. Left out for other orders."
    ),
    "PlacedStep.display_amount": Field("Part of an iceberg order that the book shows at once.", MILLI),
    "TriggerPlacedStep.display_amount": Field("Part of an iceberg order that the book shows at once.", MILLI),
    "PlaceParams.display_amount": Field(
        "Makes an iceberg order: the book shows only so much of it at once. At most `amount`, at least 100 times "
        "`min_size`, and more than `amount` / 101. For orders that can rest.",
        MILLI,
    ),
    "valid_until_us": Field("The request is refused if it comes later than this. Default: it is always valid."),
    "reject_post_only": Field("True if a `post_only` order that would trade is refused instead."),
    "price": Field("Price of one contract; null for a market order."),
    "price_decimals": Field("Decimal places of prices: 6, because they are micros."),
    "quantity": Field("Contracts held; negative for a short position."),
    "realised_pnl": Field("Realised profit since the position was last flat, fees deducted; null beyond 2^53 - 1."),
    "reduce_only": Field("True if the order may only reduce a position: it is cut down to it, and shrinks with it."),
    "remaining": Field("Size that has not traded."),
    "receipt": Field("True to get the receipt of the command, in the result or in the data of the error."),
    "rules": Field("The rules of the exchange."),
    "seq": Field("Sequence number of the command."),
    "SharedLoss.amount": Field("What was borne of the loss."),
    "SharedLoss.won": Field("What was won in the settlement, of which the amount is a share."),
    "shortfall": Field("Sum that the insurance paid for the account and that it has not repaid."),
    "side": Field("bid to buy, ask to sell."),
    "size": Field("Total size of the order, filled part included."),
    "size_decimals": Field("Decimal places of sizes: 3, because they are millicontracts."),
    "state": Field("open, paused (no new orders and edits), or expired."),
    "status": Field("State of the order."),
    "strike": Field("Strike price."),
    "suspended": Field("True if the user may only read and cancel."),
    "taker_side": Field("Side of the order that traded on arrival."),
    "tick_size": Field("Prices of orders are multiples of this."),
    "time_in_force": Field("How long the order stays in the book."),
    "total_pnl": Field("Realised profit plus unrealised profit; null if it is beyond 2^53 - 1."),
    "trade_id": Field("Id of the trade, an integer."),
    "trades": Field("The user's trades that the command caused."),
    "jump_us": Field(
        "The accepted jump of the system clock, negative if back; 0 if it had not jumped.", "microseconds"
    ),
    "ts_us": Field("Exchange time of the command."),
    "trigger": Field("Price that a trigger order waits for: that of the index, the mark, or the last trade."),
    "trigger_offset": Field("Distance from the best price since the placing at which a trailing stop triggers."),
    "trigger_order_id": Field("Id of the trigger order that placed this one."),
    "trigger_price": Field("Price at which a trigger order triggers; none for a trailing stop."),
    "trigger_reference_price": Field("The price that the order waits for, as it was when the order was placed."),
    "reject_reason": Field("The reason why the order that a trigger order placed was refused."),
    "type": Field("limit or market, or the type of a trigger order."),
    "unrealised_pnl": Field("Profit if the position were closed at its value now; null if it is beyond 2^53 - 1."),
    "user_id": Field("Id of the user."),
    "mmp_group": Field("Name of the MMP group, 1 to 64 characters."),
    "quote_id": Field("The user's own name of the mass quote, 1 to 64 characters."),
    "quote_set_id": Field("The user's own name of a set of quotes, 1 to 64 characters."),
    "frozen_until_us": Field("End of the freeze of the MMP group; 0: until it is reset; null if it is not frozen."),
    "interval": Field("Length of the interval in which fills are summed; it begins with the first fill."),
    "frozen_time": Field("Length of a freeze; 0: until the group is reset.", "seconds"),
    "quantity_limit": Field("Sum of the fills, bought and sold, that freezes the group; null: not checked.", MILLI),
    "delta_limit": Field(
        "Net delta of the fills, in either direction, that freezes the group; null: not checked.", MILLI
    ),
    "vega_limit": Field(
        "Net vega of the fills for a percentage point, in either direction, that freezes the group; null: not checked.",
        MICROS,
    ),
    # Parameters.
    "QuoteSideParams.amount": Field(
        "Size that is open after the command; 0 cancels the side. Default: the open size stays.", MILLI
    ),
    "QuoteSideParams.price": Field("Limit price of one contract. Only a cancellation needs none.", MICROS),
    "QuoteSideParams.post_only": Field("True to refuse the side if it would trade on arrival."),
    "QuoteParams.bid": Field("The side that buys. Default: it stays as it is."),
    "QuoteParams.ask": Field("The side that sells. Default: it stays as it is."),
    "LinkedOrdersParams.link": Field(
        "one_cancels_other (two orders), one_triggers_other (two) or one_triggers_one_cancels_other (three)."
    ),
    "LinkedOrdersParams.orders": Field("The orders; the first is the primary, whose fills place the others."),
    "LinkedOrdersParams.fill_condition": Field(
        "Which fills act on the other orders: any (first_hit), only the one that fills the order (complete_fill), or "
        "each in proportion (incremental)."
    ),
    "LinkedOrderParams.price": Field("Limit price of one contract. Required for a limit order."),
    "LinkedOrderParams.time_in_force": Field("Default: gtc for a limit order, ioc for a market order."),
    "LinkedOrderParams.display_amount": Field("The part of an iceberg order that the book shows at once.", MILLI),
    "link": Field("How the order is linked to others. Left out for other orders."),
    "fill_condition": Field("Which fills act on the linked orders. Left out for other orders."),
    "linked_order_ids": Field(
        "The orders that were linked together, this one or the one that it follows from included; the first is the "
        "primary. Left out for other orders."
    ),
    "primary_order_id": Field("The order whose fills this one waits for. Left out if it waits for none."),
    "LinkedOrdersResult.orders": Field("The orders as they are after the command, in the order of the request."),
    "LinkedOrdersResult.trades": Field("The trades that the orders made on arrival."),
    "LinkedOrdersResult.receipt": Field(_RECEIPT),
    "LinkedOrdersResult.duplicate": Field("True if the client_order_id of the first order was used before."),
    "MassQuoteParams.quotes": Field("1 to 100 quotes, each of another instrument."),
    "CancelQuotesParams.instrument_id": Field("Only quotes in this instrument."),
    "CancelQuotesParams.asset": Field("Only quotes on this asset."),
    "CancelQuotesParams.mmp_group": Field("Only quotes of this MMP group."),
    "CancelQuotesParams.quote_set_id": Field("Only quotes of this set."),
    "CancelQuotesParams.min_delta": Field(
        "Only quotes in options whose delta by the model is at least this: -1 to 0 for puts, 0 to 1 for calls."
    ),
    "CancelQuotesParams.max_delta": Field("Only quotes in options whose delta by the model is at most this."),
    "MmpConfigParams.interval": Field(
        "Length of the interval in which fills are summed, at most 3600; 0 removes the group and cancels its quotes.",
        "seconds",
    ),
    "MmpConfigParams.frozen_time": Field("Length of a freeze, at most 3600; 0: until private/reset_mmp.", "seconds"),
    "MmpConfigParams.quantity_limit": Field("Sum of the fills, bought and sold, that freezes the group.", MILLI),
    "MmpConfigParams.delta_limit": Field("Net delta of the fills, in either direction, that freezes the group.", MILLI),
    "MmpConfigParams.vega_limit": Field(
        "Net vega of the fills for a percentage point, in either direction, that freezes the group.", MICROS
    ),
    "CancelOnDisconnectParams.scope": Field(
        "connection: only the orders that this connection places from now on; account: all orders of the user."
    ),
    "MmpGroupFilter.mmp_group": Field("Only this group."),
    "AuthParams.client_id": Field(
        "Id of a key, such as `alice:0a1b2c3d`; or of a user: 1 to 64 letters, digits and `_ . @ -`."
    ),
    "AuthParams.client_secret": Field(
        "Secret of the key or of the administrator. It is ignored for a user without a key."
    ),
    "AuthParams.grant_type": Field("`client_credentials` with a secret, or `client_signature` with a signature."),
    "AuthParams.timestamp": Field(
        "Time of the signature by the client's clock, at most 60 seconds off.", "milliseconds since the Unix epoch"
    ),
    "AuthParams.nonce": Field("A text that the client never signs again: 1 to 64 characters."),
    "AuthParams.data": Field("A text that is signed, too."),
    "LoginResult.right": Field("Right of the key: `read`, `trade` (includes read) or `admin` (includes both)."),
    "LoginResult.expires_us": Field("Time from which the key opens nothing."),
    "AuthParams.signature": Field(
        "HMAC-SHA256, in hexadecimal digits, of timestamp, nonce and data, each on a line, with the secret as the key."
    ),
    "CancelParams.instrument_id": Field("Refuse with 1003 if the order is in another instrument."),
    "CandlesParams.asset": Field("Asset whose index the candles show; then no `instrument_id`."),
    "CandlesParams.instrument_id": Field("Instrument whose trades the candles show; then no `asset`."),
    "CandlesParams.count": Field("The last candles up to `end_us`; not with `start_us`. Default: 100."),
    "CandlesParams.end_us": Field("The last candle is that of this time. Default: now."),
    "CandlesParams.start_us": Field("The first candle is that of this time."),
    "resolution": Field("Length of the intervals. They begin at multiples of it since 1970 (UTC)."),
    "ClosePositionParams.price": Field("Limit of the price of one contract; only for a limit order."),
    "ClosePositionParams.type": Field("market, or limit with a `price`."),
    "DeliveryPricesParams.before": Field("Only series that expired before this time.", "seconds since the Unix epoch"),
    "EditParams.amount": Field("New total size, filled part included. Default: the size is kept.", MILLI),
    "EditParams.price": Field("New price of one contract. Default: the price is kept."),
    "CancelAllParams.asset": Field("Only orders on this asset."),
    "CancelAllParams.instrument_id": Field("Only orders in this instrument."),
    "CancelAllParams.kind": Field("Only orders in calls, or only in puts; option: in both."),
    "CancelAllParams.label": Field("Only orders with this label."),
    "CancelParams.label": Field("Label of the order; no other open order may have it."),
    "EditParams.instrument_id": Field("Refuse with 1003 if the order is in another instrument."),
    "EditParams.label": Field("Label of the order; no other open order may have it."),
    "LabelledOrderRef.label": Field("Label of the order: the newest open one with it, else the newest finished one."),
    "OpenOrdersParams.label": Field("Only orders with this label."),
    "OrderHistoryParams.label": Field("Only orders with this label."),
    "HeartbeatParams.interval": Field("The exchange sends a test_request after this time of silence.", "seconds"),
    "IndexPriceParams.forced": Field("True to record the price even if it is far from the last one."),
    "IndexPriceParams.price": Field("Price of one unit of the asset."),
    "AssetFilter.asset": Field("Only instruments on this asset."),
    "OpenOrdersParams.instrument_id": Field("Only orders in this instrument."),
    "OrderHistoryParams.instrument_id": Field("Only entries of this instrument."),
    "UserTradesParams.instrument_id": Field("Only entries of this instrument."),
    "UserTradesParams.order_id": Field("Only trades of this order of the user."),
    "InstrumentsSelector.asset": Field("All instruments on this asset."),
    "InstrumentsSelector.expiration": Field("All instruments with this expiration.", "seconds since the Unix epoch"),
    "InstrumentsSelector.instrument_id": Field("One instrument; then neither `asset` nor `expiration`."),
    "MarginParams.price": Field("Limit price of one contract."),
    "NewInstrumentParams.tick_size": Field("Prices of orders must be multiples of this."),
    "NewRulesParams.rules": Field("The complete new rules. A field that is left out gets its default."),
    "NewRulesParams.rules_version": Field("A newer version of the rules. Without it, the version stays."),
    "NewRulesParams.dry_run": Field("True to answer with the accounts to liquidate, and to record nothing."),
    "OrderBookParams.depth": Field("Maximum number of price levels on each side."),
    "PaymentParams.amount": Field("Cash to pay in or out.", MICROS),
    "PlaceParams.dry_run": Field("True to answer with the outcome of the order, and to record nothing."),
    "PlaceParams.price": Field("Limit price of one contract. Required for a limit order, refused for a market order."),
    "PlaceParams.reduce_only": Field(
        "True to cut the order down to the position on the other side. If it rests, it shrinks with the position."
    ),
    "PlaceParams.time_in_force": Field("Default: gtc for a limit order, ioc for a market order."),
    "PlaceParams.type": Field(
        "limit, or market without a `price`; or the type of an order that waits for a price and places one then."
    ),
    "SettleParams.price": Field("Delivery price of one unit of the asset."),
    "SettlementsParams.asset": Field("Only series on this asset."),
    "SettlementsParams.before": Field("Only settlements with a smaller `seq`."),
    "SubscribeParams.from_seq": Field("Sequence number of the first command that the streams include."),
    "UserInstrumentFilter.instrument_id": Field("Only orders in this instrument."),
    "UserLimitsParams.open_orders_max": Field("Maximum number of open orders of the user; null: as in the rules."),
    "UserLimitsParams.position_max": Field(
        "Maximum position of the user in one instrument, open orders included; 0: no limit; null: as in the rules."
    ),
    "UserSettlementsParams.before": Field("Only settlements with a smaller `seq`."),
    # Parts of results and messages.
    "Account.realised_pnl": Field("Realised profit of all time, fees and settlements included."),
    "Account.unrealised_pnl": Field("Sum of the unrealised profits of the positions; null beyond 2^53 - 1."),
    "Account.seq": Field("Sequence number of the last command that is included."),
    "Account.limits": Field("The limits that hold for the user: the user's own, else those of the rules."),
    "BookChange.seq": Field("Sequence number of the last command that is included."),
    "Balance.seq": Field("Sequence number of the last command that is included."),
    "BookChange.prev_seq": Field("The `seq` of the message before this one on the channel."),
    "BookChange.type": Field("Always change."),
    "BookChange.bids": Field("Bid levels that changed. Size 0: the level left the view."),
    "BookChange.asks": Field("Ask levels that changed. Size 0: the level left the view."),
    "BookLevel.count": Field("Number of orders at this price."),
    "BookLevel.price": Field("Price of one contract."),
    "BookLevel.size": Field("Sum of the remaining sizes of the orders at this price."),
    "BookSnapshot.seq": Field("Sequence number of the last command that is included."),
    "BookSnapshot.type": Field("Always snapshot."),
    "Greeks.delta": Field("Change of the option price for 1 USDC of the index, or of the forward if one is set."),
    "Greeks.gamma": Field("Change of delta for 1 USDC of the index."),
    "Greeks.vega": Field("Change of the option price for 1 percentage point of volatility.", "USDC"),
    "Greeks.theta": Field("Change of the option price for one day.", "USDC"),
    "Greeks.rho": Field("Change of the option price for 1 percentage point of interest.", "USDC"),
    "MarkSurface.seq": Field(
        "Sequence number of the last command that set a smile. The end of an expiration sets none."
    ),
    "MarkSurface.smiles": Field("The smiles of the expirations that are not over, the nearest first."),
    "level": Field("Volatility at the money, a year.", "millionths: 1000000 = 100 %"),
    "skew": Field("Skew of the smile.", "millionths"),
    "curvature": Field("Curvature of the smile.", "millionths"),
    "IndexPrice.price": Field("Price of one unit of the asset."),
    "Instrument.contract_size": Field("Size of one contract."),
    "Order.created_us": Field("Exchange time of the placing of the order."),
    "Order.updated_us": Field("Exchange time of the last change of the order."),
    "Settlement.state": Field("settled, or delayed while the series waits for admin/settle."),
    "add_positions": Field("True to add the positions to those of the account, false to replace them. Default: true."),
    "SimulateParams.positions": Field("Contracts by instrument id, negative for short ones; 200 at most.", MILLI),
    "SimulatedAccount.available": Field("Cash that would not be locked; below zero if it is not enough."),
    "SimulatedAccount.locked": Field("Cash that open orders and short positions would lock."),
    "SimulatedAccount.maintenance": Field("Maintenance margin: with less cash the account would be liquidated."),
    "SimulatedAccount.positions": Field("The positions that the account would have, by instrument id."),
    "SimulatedAccount.seq": Field("Sequence number of the last command that is included."),
    "SimulatedPosition.locked": Field("Collateral of the short contracts and open asks."),
    "VolatilityParams.asset": Field("Asset of the index."),
    "VolatilityParams.count": Field("The last full hours up to `end_us`. Default: 24."),
    "VolatilityParams.end_us": Field("The last value is that of the full hour before this time. Default: now."),
    "HistoricalVolatility.ts_us": Field("A full hour: the volatility is that of the 15 days before it."),
    "volatility": Field("Standard deviation of the returns of 15 days, a year.", "1.0 = 100 %"),
    "candles": Field("The candles, the oldest first; there are none before the first trade or price."),
    "Candles.seq": Field("Sequence number of the last command that is included."),
    "first_seq": Field("The first moment that can be shown: the history begins with this command."),
    "first_ts_us": Field("Time of that command."),
    "last_seq": Field("The last moment that can be shown."),
    "last_ts_us": Field("Time of that command."),
    "TimelineParams.from_seq": Field("Only commands from this one on. Not together with start_us."),
    "TimelineParams.to_seq": Field("Only commands up to this one. Not together with end_us."),
    "TimelineParams.start_us": Field("Only commands at or after this time."),
    "TimelineParams.end_us": Field("Only commands at or before this time."),
    "TimelineParams.buckets": Field("Maximum number of buckets. Each has as many commands as the others, or one more."),
    "TimelineParams.asset": Field("Only trades, prices, expiries and pauses of options on this asset."),
    "Timeline.buckets": Field("The commands of the range in parts, oldest first."),
    "Timeline.marks": Field("What happened in the range, oldest first. Nobody is named."),
    "Timeline.marks_left_out": Field("The number of marks that did not fit."),
    "Timeline.seq": Field("Answered as right after this command."),
    "TimelineBucket.first_seq": Field("First command of the bucket."),
    "TimelineBucket.first_ts_us": Field("Time of the first command."),
    "TimelineBucket.last_seq": Field("Last command of the bucket."),
    "TimelineBucket.last_ts_us": Field("Time of the last command."),
    "TimelineBucket.commands": Field("Number of commands."),
    "TimelineBucket.trades": Field("Number of trades."),
    "TimelineBucket.volume": Field("Contracts traded."),
    "TimelineBucket.index_prices": Field("The last index price of each asset up to the last command.", MICROS),
    "TimelineMark.kind": Field("What happened."),
    "MomentParams.seq": Field("Count from the moment after this command. Default: the last one."),
    "MomentParams.ts_us": Field("Count from the last command at or before this time. Not together with seq."),
    "MomentParams.by": Field(
        "The unit. trade: commands that traded. second: seconds of exchange time that have commands; "
        "the moment is after the last command of the second."
    ),
    "MomentParams.count": Field("How many units to go; a negative number goes back, and 0 nowhere."),
    "MomentResult.seq": Field("The moment is right after this command."),
    "MomentResult.clipped": Field("There were fewer units than that: the moment is the first or the last one."),
    "ProfitHistoryParams.from_seq": Field("Only commands from this one on. Not together with start_us."),
    "ProfitHistoryParams.to_seq": Field("Only commands up to this one. Not together with end_us."),
    "ProfitHistoryParams.start_us": Field("Only commands at or after this time."),
    "ProfitHistoryParams.end_us": Field("Only commands at or before this time."),
    "ProfitHistoryParams.user_id": Field("The account. Another one than the user's own only for the administrator."),
    "ProfitHistoryParams.points": Field("Maximum number of moments, evenly spread in time."),
    "ProfitHistory.points": Field("The account at each moment, oldest first."),
    "ProfitHistory.seq": Field("Answered as right after this command."),
    "ProfitPoint.seq": Field("The moment is right after this command."),
    "ProfitPoint.equity": Field("Cash and value of the positions, as in get_account."),
    "ProfitPoint.profit": Field("The sum of trading, settlement, fees and liquidation."),
    "ProfitPoint.trading": Field("Cash from trades before fees, and the change of the value of the open positions."),
    "ProfitPoint.settlement": Field("Cash from settlements before fees, less shares of losses."),
    "ProfitPoint.fees": Field("Fees of trades and settlements; below zero if they were paid."),
    "ProfitPoint.liquidation": Field("Cash from liquidations before fees, and payments to and from the insurance."),
    "ProfitPoint.payments": Field("Deposits, withdrawals and starting cash, which are no profit."),
    "ProfitPoint.greeks": Field("Greeks of the positions by asset."),
    "WhatIfParams.user_id": Field("The account. Another one than the user's own only for the administrator."),
    "WhatIfParams.without_orders": Field(
        "Orders of the account whose commands are left out. With a linked order, all orders of its command are."
    ),
    "WhatIfParams.rules": Field(
        "Values of rules by name, such as fees: 100/200, as in `exchange what-if --set`. "
        "Before from_seq the rules are as they were."
    ),
    "WhatIfParams.index_paths": Field(
        "By asset, points of a time in microseconds and a price in micros. Each recorded index price from the first "
        "point on is replaced by that of the straight line between two points; after the last one its price stays.",
    ),
    "WhatIfParams.from_seq": Field("The rules hold from right after this command. Default: the first command."),
    "WhatIfParams.to_seq": Field("Compare up to this command. Default: the last one."),
    "WhatIfResult.from_seq": Field("Both histories are the same up to this command."),
    "WhatIfResult.to_seq": Field("The figures are those right after this command."),
    "WhatIfResult.profit": Field("total_pnl of get_account; each history with its own marks."),
    "WhatIfResult.cash": Field("Cash of the account."),
    "WhatIfResult.settled": Field("Payouts of settlements less their fees, after from_seq."),
    "WhatIfResult.shortfall": Field("What the insurance has paid for the account."),
    "WhatIfResult.fills": Field("Number of fills after from_seq."),
    "WhatIfResult.positions": Field("The positions that differ.", MILLI),
    "WhatIfResult.commands": Field("Number of commands that were compared."),
    "WhatIfResult.dropped": Field("Commands that were left out."),
    "WhatIfResult.replaced": Field("Index prices with another price."),
    "WhatIfResult.changed": Field("Other commands with another outcome."),
    "WhatIfResult.first_seq": Field("The first command that was left out, replaced or changed; null if none was."),
    "RealAndEdited.real": Field("As it was."),
    "RealAndEdited.edited": Field("As it would be."),
    "ExplainParams.user_id": Field("The account. Another one than the user's own only for the administrator."),
    "text": Field("The same in words."),
    "Candle.ts_us": Field("Begin of the interval."),
    "Candle.close": Field("Last price; in an interval without one, the close of the candle before."),
    "Candle.high": Field("Highest price."),
    "Candle.low": Field("Lowest price."),
    "Candle.notional": Field("Premium of the trades: the sum of price and size; 0 for an index, null beyond 2^53 - 1."),
    "Candle.open": Field("First price; in an interval without one, the close of the candle before."),
    "Candle.volume": Field("Contracts traded; 0 for an index."),
    "DayStatistics.high": Field("Highest price; null if there were no trades."),
    "DayStatistics.low": Field("Lowest price; null if there were no trades."),
    "DayStatistics.notional": Field("Premium of the trades: the sum of price and size; null beyond 2^53 - 1."),
    "DayStatistics.price_change": Field(
        "From the price of the first of the trades to that of the last; null if there were no trades.",
        "millionths: 10000 = 1 %",
    ),
    "DayStatistics.volume": Field("Contracts traded, the same as volume_24h."),
    "Ticker.ask_iv": Field("Implied volatility of the best ask, 1.0 for 100 % a year; null if it has none."),
    "Ticker.best_ask": Field("Lowest price of the asks; null if there are none."),
    "Ticker.best_ask_size": Field("Size at that price; 0 if there are no asks."),
    "Ticker.best_bid": Field("Highest price of the bids; null if there are none."),
    "Ticker.best_bid_size": Field("Size at that price; 0 if there are no bids."),
    "Ticker.bid_iv": Field("Implied volatility of the best bid, 1.0 for 100 % a year; null if it has none."),
    "Ticker.estimated_delivery_price": Field(
        "Price at which the series would be delivered now: the index price, in the last half hour its average until "
        "now; null without an index price."
    ),
    "Ticker.greeks": Field("Black and Scholes at the mark price; null if the mark price has no volatility."),
    "forward": Field("The price on which the options of the expiration are valued; only if the rules set one."),
    "Ticker.index": Field("Index price of the asset; null if it has none."),
    "Ticker.last": Field("Price of the last trade; null before the first trade."),
    "Ticker.mark_iv": Field("Implied volatility of the mark price, 1.0 for 100 % a year; null if it has none."),
    "Ticker.mid": Field("Middle of best bid and best ask, rounded down; null without both."),
    "Ticker.seq": Field("Sequence number of the last command that is included."),
    "Ticker.open_interest": Field("Contracts held long, which is as many as are held short."),
    "TopOfBook.best_ask": Field("Lowest price of the asks; null if there are none."),
    "TopOfBook.best_ask_size": Field("Size at that price; 0 if there are no asks."),
    "TopOfBook.best_bid": Field("Highest price of the bids; null if there are none."),
    "TopOfBook.best_bid_size": Field("Size at that price; 0 if there are no bids."),
    "TopOfBook.seq": Field("Sequence number of the last command that is included."),
    "PositionDetails.greeks": Field("Greeks of the position: contracts times the Greeks of the ticker; null without."),
    "PositionDetails.index": Field("Index price that the margins follow; null without one."),
    "PositionDetails.total_pnl": Field("Realised profit plus unrealised profit; null if it is beyond 2^53 - 1."),
    "PositionsResult.seq": Field("Sequence number of the last command that is included."),
    "UserChanges.orders": Field("The user's orders that the command changed, as they were after it."),
    "UserChanges.positions": Field("The user's positions that the command changed, as they were after it."),
    "UserChanges.trades": Field("The user's trades that the command made."),
    "MassQuoteResult.orders": Field("The quotes that the command set or left as they were, as they are after it."),
    "MassQuoteResult.trades": Field("The trades that the quotes made on arrival."),
    "MassQuoteResult.errors": Field("The sides that were refused; what they would have replaced stays."),
    "MassQuoteResult.receipt": Field(_RECEIPT),
    "MmpGroupResult.receipt": Field(_RECEIPT),
    "MmpGroupResult.group": Field("The MMP group after the command; null if it was removed."),
    "QuoteError.code": Field("Code of the error."),
    "QuoteError.message": Field("Message of the error."),
    "QuoteError.reason": Field("Reason of the refusal, a stable word for programs."),
    "QuoteError.detail": Field("What to do."),
    "MmpTrigger.limit": Field("The limit that the fills reached: quantity, delta or vega."),
    "MmpTrigger.quantity": Field("Sum of the fills of the interval.", MILLI),
    "net_delta": Field("Net delta of the fills of the interval; null if the group has no limit for it.", MILLI),
    "net_vega": Field("Net vega of the fills of the interval, for a percentage point; null without a limit.", MICROS),
    "Transaction.balance": Field("Cash of the user after the movement, locked cash included."),
    "Transaction.change": Field("Cash that the user received, the fee deducted; negative: cash that the user paid."),
    "Transaction.fee": Field("Fee that is part of the change."),
    "Transaction.id": Field("Id of the entry; later entries have larger ones."),
    "Transaction.instrument_id": Field("Id of the instrument; null for a movement that is about none."),
    "Transaction.trade_id": Field("Id of the trade; null for a movement that is no trade."),
    "Transaction.type": Field("Why the cash moved."),
    "TransactionsResult.seq": Field("Sequence number of the last command that is included."),
    "Ticker.stats": Field("The trades of the last 1,440 minutes, the current one included; none after expiry."),
    "Ticker.volume_24h": Field("Contracts traded in the last 1,440 minutes; 0 after expiry."),
    "Trade.liquidation": Field("True if the exchange sent the incoming order to reduce a position."),
    "Trade.price": Field("Price of one contract."),
    "Trade.size": Field("Size of the trade."),
    "UserSettlement.fee": Field("Delivery fee that the user paid."),
    "UserSettlement.payout": Field("Cash that the user received; negative: cash that the user paid."),
    "UserSettlement.quantity": Field("Contracts held at expiry; negative for a short position."),
    "UserTrade.fee": Field("Fee that the user paid for this trade."),
    "UserTrade.liquidation": Field("True if the exchange reduced a position of the user with this trade."),
    "UserTrade.price": Field("Price of one contract."),
    "UserTrade.side": Field("The user's own side."),
    "UserTrade.size": Field("Size of the trade."),
    "CancelAllResult.receipt": Field(_RECEIPT),
    "CancelResult.receipt": Field(_RECEIPT),
    "OrderResult.receipt": Field(_RECEIPT),
    "SeqResult.receipt": Field(_RECEIPT),
    "Receipt.hash": Field("Hash of the command, 64 hexadecimal digits. It covers all commands before this one."),
    "HeadResult.hash": Field("Hash of that command, 64 hexadecimal digits. It covers all commands before it."),
    "HeadResult.seq": Field("Sequence number of the last command."),
    "HeadResult.ts_us": Field("Exchange time of that command."),
    "CancelAllResult.cancelled": Field("Number of orders that were cancelled."),
    "DeliveryPrice.delivery_price": Field("Settlement price of the series."),
    "DryRunResult.balance": Field("The balance that the user would have."),
    "DryRunResult.dry_run": Field("Always true."),
    "RulesDryRunResult.dry_run": Field("Always true."),
    "RulesDryRunResult.seq": Field("Sequence number of the last command that is included."),
    "liquidated": Field("The accounts that the new rules would liquidate, in that order."),
    "rules_version": Field("Version of the rules."),
    "DryRunResult.duplicate": Field("True if the user already has this order under the same client_order_id."),
    "DryRunResult.order": Field("The order as it would be; its order_id is 0."),
    "DryRunResult.position": Field("The position in the instrument that the user would have."),
    "DryRunResult.trades": Field("The trades that would happen; their trade_id and seq are 0."),
    "InstrumentResult.instrument": Field("The instrument after the command."),
    "ExchangeStatus.seq": Field("Sequence number of the last command that is included."),
    "ExchangeStatus.reopening": Field(
        "The assets that are reopening after a halt or a crash; empty if there are none."
    ),
    "Reopening.phase": Field(
        "cancel_only until the next index price of the asset, then post_only: only post-only orders are accepted."
    ),
    "Reopening.until_us": Field("Time when all orders are accepted; null in the phase cancel_only."),
    "HaltResult.seq": Field("Sequence number of the last command that is included."),
    "InsuranceResult.seq": Field("Sequence number of the last command that is included."),
    "InsuranceResult.balance": Field("Cash of the insurance. It may be negative."),
    "MarginResult.amount": Field("Size of the order."),
    "MarginResult.available": Field("Cash of the user that is not locked."),
    "MarginResult.detail": Field("A sentence about the refusal; only if the order would be refused."),
    "MarginResult.initial_margin": Field("Cash that one short contract locks; null without an index price."),
    "MarginResult.maintenance_margin": Field("Cash that one short contract must keep; null without an index price."),
    "MarginResult.needed": Field("Cash that the order would lock in addition."),
    "MarginResult.passes": Field("True if the order would be accepted."),
    "MarginResult.price": Field("Limit price of one contract."),
    "MarginResult.reason": Field("The reason of the refusal; only if the order would be refused."),
    "OrderBookResult.seq": Field("Sequence number of the last command that is included."),
    "OrderResult.duplicate": Field("True if the order was placed before under the same client_order_id."),
    "PauseResult.count": Field("Number of instruments that changed; only without an instrument_id."),
    "PauseResult.instrument": Field("The instrument after the command; only with an instrument_id."),
    "RulesResult.seq": Field("Sequence number of the last command that is included."),
    "SubscribeResult.channels": Field("Names of the channels that are now subscribed."),
    "SubscribeResult.seq": Field("The first command that is still to come. The streams catch up with those before it."),
    "TimeResult.ts_us": Field("Exchange time."),
    "ConfirmedTime.ts_us": Field("Exchange time."),
    "MetricsResult.ts_us": Field("Exchange time."),
    "metrics": Field("Values by the names of the metrics with their labels; null: infinite."),
    "TimelineResult.steps": Field("The steps in the life of the order, the oldest first."),
    "UserLimitsResult.open_orders_max": Field("The user's own limit of open orders; null: as in the rules."),
    "UserLimitsResult.position_max": Field("The user's own limit of positions; 0: no limit; null: as in the rules."),
    "VersionResult.version": Field("Version of the exchange."),
    # Replays.
    "SeekParams.seq": Field("Go to the moment right after this command."),
    "SeekParams.ts_us": Field("Go to this exchange time."),
    "StepParams.by": Field("The unit: commands, commands that traded, or seconds of recorded time.  Default: command."),
    "StepParams.count": Field("How many, from -1000 to 1000 without 0; a negative number goes back.  Default: 1."),
    "SpeedParams.speed": Field("Speed relative to the original, above 0; null: as fast as possible.", "factor"),
    "ReplayStatus.at_end": Field("True if the replay has reached its last command."),
    "ReplayStatus.first_seq": Field("Sequence number of the first command of the replay."),
    "ReplayStatus.last_seq": Field("Sequence number of the last command of the replay."),
    "ReplayStatus.paused": Field("True while the replay is paused."),
    "ReplayStatus.seeking": Field("Destination of a seek that is under way, a sequence number; else null."),
    "ReplayStatus.seq": Field("Sequence number of the last command that was replayed."),
    "ReplayStatus.speed": Field("Speed relative to the original; null: as fast as possible.", "factor"),
    "ReplayStatus.ts_us": Field("Exchange time at this point of the replay."),
    # Steps in the life of an order.
    "command": Field("Kind of the command that caused the step. Left out if another user's command caused a fill."),
    "step": Field("Kind of the step."),
    "reason": Field("Stable word for the reason."),
    "CancelledStep.by_order_id": Field(
        "For self_trade_prevention: the user's own order that would have traded; for linked_order: the linked order."
    ),
    "CancelledStep.reason": Field("The reason of the cancellation."),
    "by_trade_id": Field("The fill of the linked order that cancelled this one. Left out if no fill did."),
    "part_of": Field("The waiting order of which a fill released this part. Left out for other orders."),
    "TriggerEndedStep.by_order_id": Field("The linked order that cancelled this one. Left out for other ends."),
    "TriggerActivatedStep.trigger_price": Field("Price that triggers the order from now on."),
    "TriggerActivatedStep.shown_price": Field("Price of the last fill of the primary."),
    "TriggerEditedStep.price": Field("Price of the order to place; null for a market order."),
    "TriggerEditedStep.size": Field("Size of the order to place."),
    "TriggerEndedStep.reason": Field("The reason of the cancellation; only if the order was cancelled."),
    "TriggerEndedStep.status": Field("triggered, rejected or cancelled."),
    "TriggerPlacedStep.price": Field("Price of the order to place; null for a market order."),
    "TriggerPlacedStep.size": Field("Size of the order to place."),
    "placed_order_id": Field("Id of the order that the trigger order placed."),
    "shown_price": Field("The price that met the trigger order."),
    "EditedStep.kept_place": Field("True if the order kept its place in the queue."),
    "EditedStep.previous_price": Field("Price before the edit.", MICROS),
    "EditedStep.previous_remaining": Field("Size that had not traded before the edit.", MILLI),
    "EditedStep.price": Field("Price after the edit."),
    "EditedStep.size": Field("Total size after the edit, filled part included."),
    "FilledStep.price": Field("Price of one contract."),
    "FilledStep.size": Field("Size of this fill."),
    # Rules.
    "Rules.collateral": Field(
        "What a short contract locks. cash_secured: its strike. standard: a margin that follows the index price, "
        "and the strike while the asset has no index price."
    ),
    "Rules.fees": Field("Fees on the premium."),
    "Rules.finished_orders_kept": Field(
        "Finished orders that the exchange keeps in memory for each user, and as many trigger orders that ended."
    ),
    "Rules.market": Field("The options market. Left out: the exchange matches orders and does nothing else."),
    "Rules.self_trade_prevention": Field("cancel_resting: the user's resting order is cancelled. off: it trades."),
    "Rules.starting_cash_micros": Field("Cash of a new account."),
    "Rules.open_orders_max": Field("Maximum number of open orders of one user."),
    "Fees.maker_premium_ppm": Field("Fee of the maker, as a share of the premium (price times size)."),
    "Fees.taker_premium_ppm": Field("Fee of the taker, as a share of the premium (price times size)."),
    "IndexFees.cap_ppm": Field("Maximum of the fee, as a share of the premium."),
    "IndexFees.delivery_cap_ppm": Field("Maximum of the delivery fee, as a share of the payout."),
    "IndexFees.delivery_ppm": Field("Fee at settlement of the side that is paid, as a share of the delivery price."),
    "IndexFees.maker_ppm": Field("Fee of the maker, as a share of the index price times size."),
    "IndexFees.taker_ppm": Field("Fee of the taker, as a share of the index price times size."),
    "IndexFees.daily_delivery_ppm": Field(
        "The delivery fee of options that do not expire on a Friday; left out: `delivery_ppm`."
    ),
    "IndexFees.liquidation_ppm": Field(
        "Fee of a liquidated account for the insurance, as a share of the index price times size; left out: none."
    ),
    "LiquidationRules.limit_ppm": Field("How far from the mark price slices trade, as a share of the index."),
    "LiquidationRules.cushion_ppm": Field(
        "Slices end when the cash exceeds the maintenance margin by this share of it."
    ),
    "LiquidationRules.takeover_after": Field(
        "Index prices in a row below the maintenance margin after which the insurance takes over; 0: never.", "prices"
    ),
    "LiquidationRules.insurance_floor_micros": Field("Cash of the insurance below which it pays for no account."),
    "SettlementRules.price_age_max_s": Field(
        "Maximum age of the newest index price at the expiration of a series that settles; 0: no limit."
    ),
    "SettlementRules.post_only_s": Field(
        "How long only post-only orders are accepted after a halt or a crash; 0: the market reopens at once."
    ),
    "SettlementRules.settled_kept_days": Field(
        "How long after its expiration a settled series is delisted; left out: it stays listed.", "days"
    ),
    "Market.fees": Field("Fees on the index price."),
    "Market.liquidation": Field("How accounts are liquidated, from rules version 2 on; left out: the defaults."),
    "Market.settlement": Field("How series settle, from rules version 2 on; left out: the defaults."),
    "Market.index_age_max_s": Field("Maximum age of the index price for a sale that needs collateral; 0: no limit."),
    "Market.index_jump_max": Field("Maximum factor between two index prices; 0: no limit.", "factor"),
    "Market.liquidation_limit_ppm": Field(
        "How far above the mark price a liquidation buys by rules version 1, as a share of the index."
    ),
    "min_price": Field("Lowest price of an order now; null: any price."),
    "max_price": Field("Highest price of an order now; null: any price."),
    "Market.band": Field("The band around the mark for assets whose series rule has none; null: no band."),
    "Series.band": Field("The band around the mark for this asset; null: no band."),
    "Band.index_ppm": Field("Part of the band that is a share of the index price."),
    "Band.move_ppm": Field("A move of the index whose gamma widens the band."),
    "Market.forwards": Field(
        "Distance of the forward from the index, as a share of the index a year, by asset and expiration, such as "
        "SOL-27MAR26. Missing: the forward is the index.",
        "millionths",
    ),
    "Market.surface": Field("The volatility surface of assets whose series rule has none. Missing: the default."),
    "Series.surface": Field("The volatility surface of this asset. Missing: that of the market."),
    "Surface.level_ppm": Field("Volatility at the money without quotes, a year, in millionths."),
    "Surface.skew_ppm": Field("Skew of a smile without quotes, in millionths."),
    "Surface.curvature_ppm": Field("Curvature of a smile without quotes, in millionths."),
    "Surface.level_min_ppm": Field("The lowest volatility at the money to which quotes move the surface."),
    "Surface.level_max_ppm": Field("The highest volatility at the money to which quotes move the surface."),
    "Surface.move_ppm": Field("The largest move of a parameter in a minute: 10000 is a volatility point."),
    "Surface.quote_size_min_milli": Field("The size that a bid and an ask must have to count, in millicontracts."),
    "Surface.quotes_min": Field("The number of strikes of an expiration that must have quotes that count."),
    "Market.mark_spread_max_ppm": Field("Maximum spread of a book that makes the mark price, as a share of the index."),
    "Market.position_max_milli": Field("Maximum position of one user in one instrument; 0: no limit."),
    "Market.series": Field("The series rules, at most one for each asset."),
    "Series.dailies": Field("How many of the next days have an expiration."),
    "Series.min_size_milli": Field("Smallest size of an order."),
    "Series.monthlies": Field("How many of the next last Fridays of a month have an expiration."),
    "Series.strike_spacing_usdc": Field("Distance between two strikes."),
    "Series.strikes_each_side": Field("Number of strikes on each side of the one nearest to the index price."),
    "Series.tick_micros": Field("Prices of orders are multiples of this."),
    "Series.weeklies": Field("How many of the next Fridays have an expiration."),
}
