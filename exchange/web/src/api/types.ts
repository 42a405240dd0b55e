// Written by `npm run types` from docs/openrpc.json. Change that, not this file.

/**
 * The reason of a refusal, as journals and the wire have it.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Reason".
 */
export type Reason =
  | "account_exists"
  | "cancel_on_disconnect_off"
  | "cancel_only"
  | "client_order_id_used"
  | "cost_above_maximum"
  | "display_above_size"
  | "display_below_minimum"
  | "exchange_halted"
  | "exposure_above_maximum"
  | "index_jump"
  | "index_stale"
  | "instrument_exists"
  | "instrument_expired"
  | "instrument_not_found"
  | "instrument_paused"
  | "insufficient_balance"
  | "invalid_amount"
  | "invalid_delivery_price"
  | "invalid_index_price"
  | "invalid_limits"
  | "invalid_linked_orders"
  | "invalid_mmp_config"
  | "invalid_quotes"
  | "invalid_rules"
  | "invalid_terms"
  | "label_not_unique"
  | "mmp_frozen"
  | "mmp_group_of_other_asset"
  | "mmp_group_unknown"
  | "no_market"
  | "no_model"
  | "no_opposite_price"
  | "no_quote"
  | "no_trigger_price"
  | "nothing_to_reduce"
  | "order_already_cancelled"
  | "order_already_filled"
  | "order_not_found"
  | "order_triggered"
  | "position_above_maximum"
  | "positions_open"
  | "post_only_phase"
  | "post_only_would_trade"
  | "price_above_maximum"
  | "price_beyond_band"
  | "price_not_positive"
  | "price_off_tick"
  | "quote_crosses_own"
  | "series_not_expired"
  | "series_settled"
  | "size_above_maximum"
  | "size_below_minimum"
  | "size_not_above_filled"
  | "terms_do_not_fit"
  | "too_many_mmp_groups"
  | "too_many_open_orders"
  | "too_many_trigger_orders"
  | "trigger_price_invalid"
  | "trigger_price_too_high"
  | "trigger_price_too_low"
  | "unknown_asset"
  | "unknown_series"
  | "unknown_user"
  | "user_suspended"
  | "valid_until_passed";

export interface Methods {
  /**
   * Log in as a user, whose account is opened if there is none, or as the administrator.
   */
  "public/auth": {
    params: {
      /**
       * `client_credentials` with a secret, or `client_signature` with a signature.
       */
      grant_type: "client_credentials" | "client_signature";
      /**
       * Id of a key, such as `alice:0a1b2c3d`; or of a user: 1 to 64 letters, digits and `_ . @ -`.
       */
      client_id: string;
      /**
       * Secret of the key or of the administrator. It is ignored for a user without a key.
       */
      client_secret?: string | null;
      /**
       * Time of the signature by the client's clock, at most 60 seconds off.
       */
      timestamp?: number | null;
      /**
       * A text that the client never signs again: 1 to 64 characters.
       */
      nonce?: string | null;
      /**
       * A text that is signed, too.
       */
      data?: string;
      /**
       * HMAC-SHA256, in hexadecimal digits, of timestamp, nonce and data, each on a line, with the secret as the key.
       */
      signature?: string | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: LoginResult;
  };
  /**
   * Subscribe to channels; with `from_seq`, streams first send what they published since that command.
   */
  "public/subscribe": {
    params: {
      /**
       * Names of channels.
       *
       * @minItems 1
       * @maxItems 500
       */
      channels: [string, ...string[]];
      /**
       * Sequence number of the first command that the streams include.
       */
      from_seq?: number | null;
    };
    result: string[] | SubscribeResult;
  };
  /**
   * Unsubscribe from channels; returns those that were subscribed.
   */
  "public/unsubscribe": {
    params: {
      /**
       * Names of channels.
       *
       * @minItems 1
       * @maxItems 500
       */
      channels: [string, ...string[]];
    };
    result: string[];
  };
  /**
   * Test the connection, or answer a heartbeat's test request.
   */
  "public/test": {
    params: {};
    result: VersionResult;
  };
  /**
   * Have the exchange send a test request after `interval` seconds of silence.
   */
  "public/set_heartbeat": {
    params: {
      /**
       * The exchange sends a test_request after this time of silence.
       */
      interval: number;
    };
    result: "ok";
  };
  /**
   * Stop heartbeats on this connection.
   */
  "public/disable_heartbeat": {
    params: {};
    result: "ok";
  };
  /**
   * The exchange time.
   */
  "public/get_time": {
    params: {};
    result: TimeResult;
  };
  /**
   * Whether the exchange is halted, and the assets that are reopening after a halt or a crash.
   */
  "public/get_status": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: ExchangeStatus;
  };
  /**
   * The seq, time and hash of the last command.
   */
  "public/get_head": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: HeadResult;
  };
  /**
   * The instruments that have not expired, in order of listing.
   */
  "public/get_instruments": {
    params: {
      /**
       * Only instruments on this asset.
       */
      asset?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: Instrument[];
  };
  /**
   * The best levels of a book, best first.
   */
  "public/get_order_book": {
    params: {
      /**
       * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
       */
      instrument_id: string;
      /**
       * Maximum number of price levels on each side.
       */
      depth?: number;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: OrderBookResult;
  };
  /**
   * The trades of an instrument, newest first.
   */
  "public/get_trades": {
    params: {
      /**
       * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
       */
      instrument_id: string;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
      /**
       * Maximum number of entries.
       */
      count?: number;
      /**
       * Only entries with a smaller id than this one, for the next page.
       */
      before?: number | null;
      /**
       * Only records of commands at or after this time.
       */
      start_us?: number | null;
      /**
       * Only records of commands at or before this time.
       */
      end_us?: number | null;
    };
    result: Trade[];
  };
  /**
   * Best prices, mark price, volume, volatility and Greeks of an instrument.
   */
  "public/get_ticker": {
    params: {
      /**
       * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
       */
      instrument_id: string;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: Ticker;
  };
  /**
   * The tickers of all instruments that have not expired.
   */
  "public/get_tickers": {
    params: {
      /**
       * Only instruments on this asset.
       */
      asset?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: Ticker[];
  };
  /**
   * The index price of an asset.
   */
  "public/get_index_price": {
    params: {
      /**
       * Asset of the options, such as SOL.
       */
      asset: string;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: IndexPrice;
  };
  /**
   * The index prices of all assets that have one.
   */
  "public/get_index_prices": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: IndexPrice[];
  };
  /**
   * The volatility surface that the marks of an asset follow.
   */
  "public/get_mark_surface": {
    params: {
      /**
       * Asset of the options, such as SOL.
       */
      asset: string;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: MarkSurface;
  };
  /**
   * Candles of the trades of an instrument, or of the index of an asset, oldest first.
   */
  "public/get_candles": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
      /**
       * Instrument whose trades the candles show; then no `asset`.
       */
      instrument_id?: string | null;
      /**
       * Asset whose index the candles show; then no `instrument_id`.
       */
      asset?: string | null;
      /**
       * Length of the intervals. They begin at multiples of it since 1970 (UTC).
       */
      resolution:
        | "10m"
        | "12h"
        | "15m"
        | "15s"
        | "1d"
        | "1h"
        | "1m"
        | "1s"
        | "2h"
        | "30m"
        | "30s"
        | "3h"
        | "3m"
        | "5m"
        | "5s"
        | "6h";
      /**
       * The first candle is that of this time.
       */
      start_us?: number | null;
      /**
       * The last candle is that of this time. Default: now.
       */
      end_us?: number | null;
      /**
       * The last candles up to `end_us`; not with `start_us`. Default: 100.
       */
      count?: number | null;
    };
    result: Candles;
  };
  /**
   * The volatility of the index of an asset over 15 days, at each of the last hours.
   */
  "public/get_historical_volatility": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
      /**
       * Asset of the index.
       */
      asset: string;
      /**
       * The last full hours up to `end_us`. Default: 24.
       */
      count?: number;
      /**
       * The last value is that of the full hour before this time. Default: now.
       */
      end_us?: number | null;
    };
    result: HistoricalVolatility[];
  };
  /**
   * The journal, or a part of it, as buckets of commands with their volumes, and marks of what happened.
   */
  "public/get_timeline": {
    params: {
      /**
       * Maximum number of buckets. Each has as many commands as the others, or one more.
       */
      buckets?: number;
      /**
       * Only trades, prices, expiries and pauses of options on this asset.
       */
      asset?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
      /**
       * Only commands from this one on. Not together with start_us.
       */
      from_seq?: number | null;
      /**
       * Only commands up to this one. Not together with end_us.
       */
      to_seq?: number | null;
      /**
       * Only commands at or after this time.
       */
      start_us?: number | null;
      /**
       * Only commands at or before this time.
       */
      end_us?: number | null;
    };
    result: Timeline;
  };
  /**
   * The moment some commands, trades or seconds after another one, or before it.
   */
  "public/get_moment": {
    params: {
      /**
       * Count from the moment after this command. Default: the last one.
       */
      seq?: number | null;
      /**
       * Count from the last command at or before this time. Not together with seq.
       */
      ts_us?: number | null;
      /**
       * The unit. trade: commands that traded. second: seconds of exchange time that have commands; the moment is after the last command of the second.
       */
      by?: "command" | "second" | "trade";
      /**
       * How many units to go; a negative number goes back, and 0 nowhere.
       */
      count?: number;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: MomentResult;
  };
  /**
   * The settlements of expired series, newest first.
   */
  "public/get_settlements": {
    params: {
      /**
       * Only series on this asset.
       */
      asset?: string | null;
      /**
       * Maximum number of entries.
       */
      count?: number;
      /**
       * Only settlements with a smaller `seq`.
       */
      before?: number | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: Settlement[];
  };
  /**
   * The delivery prices of an asset's settled series, latest expiration first.
   */
  "public/get_delivery_prices": {
    params: {
      /**
       * Asset of the options, such as SOL.
       */
      asset: string;
      /**
       * Maximum number of entries.
       */
      count?: number;
      /**
       * Only series that expired before this time.
       */
      before?: number | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: DeliveryPrice[];
  };
  /**
   * The balance of the insurance, which pays for accounts that cannot pay.
   */
  "public/get_insurance": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: InsuranceResult;
  };
  /**
   * The rules in force.
   */
  "public/get_rules": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: RulesResult;
  };
  /**
   * Place an order to buy, or with `dry_run` show what it would do.
   */
  "private/buy": {
    params: {
      /**
       * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
       */
      instrument_id: string;
      /**
       * Size of the order.
       */
      amount: number;
      /**
       * limit, or market without a `price`; or the type of an order that waits for a price and places one then.
       */
      type?:
        | ("limit" | "market" | "market_limit")
        | ("stop_limit" | "stop_market" | "take_limit" | "take_market" | "trailing_stop");
      /**
       * Limit price of one contract. Required for a limit order, refused for a market order.
       */
      price?: number | null;
      /**
       * Default: gtc for a limit order, ioc for a market order.
       */
      time_in_force?:
        | (
            | "day"
            | "fill_or_kill"
            | "fok"
            | "good_til_cancelled"
            | "good_til_day"
            | "gtc"
            | "immediate_or_cancel"
            | "ioc"
          )
        | null;
      /**
       * True if the order must rest. If it would trade on arrival, it gets the best price at which it does not: one tick from the best price of the other side.
       */
      post_only?: boolean;
      /**
       * The user's own key of the order, 1 to 64 characters.
       */
      client_order_id?: string | null;
      /**
       * True to cut the order down to the position on the other side. If it rests, it shrinks with the position.
       */
      reduce_only?: boolean;
      /**
       * True to answer with the outcome of the order, and to record nothing.
       */
      dry_run?: boolean;
      /**
       * The user's own name of a group of orders, 1 to 64 characters.
       */
      label?: string | null;
      /**
       * Price that a trigger order waits for: that of the index, the mark, or the last trade.
       */
      trigger?: ("index_price" | "last_price" | "mark_price") | null;
      /**
       * Price at which a trigger order triggers; none for a trailing stop.
       */
      trigger_price?: number | null;
      /**
       * Distance from the best price since the placing at which a trailing stop triggers.
       */
      trigger_offset?: number | null;
      /**
       * True if a `post_only` order that would trade is refused instead.
       */
      reject_post_only?: boolean;
      /**
       * Makes an iceberg order: the book shows only so much of it at once. At most `amount`, at least 100 times `min_size`, and more than `amount` / 101. For orders that can rest.
       */
      display_amount?: number | null;
      /**
       * The request is refused if it comes later than this. Default: it is always valid.
       */
      valid_until_us?: number | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: OrderResult | DryRunResult;
  };
  /**
   * Place an order to sell, or with `dry_run` show what it would do.
   */
  "private/sell": {
    params: {
      /**
       * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
       */
      instrument_id: string;
      /**
       * Size of the order.
       */
      amount: number;
      /**
       * limit, or market without a `price`; or the type of an order that waits for a price and places one then.
       */
      type?:
        | ("limit" | "market" | "market_limit")
        | ("stop_limit" | "stop_market" | "take_limit" | "take_market" | "trailing_stop");
      /**
       * Limit price of one contract. Required for a limit order, refused for a market order.
       */
      price?: number | null;
      /**
       * Default: gtc for a limit order, ioc for a market order.
       */
      time_in_force?:
        | (
            | "day"
            | "fill_or_kill"
            | "fok"
            | "good_til_cancelled"
            | "good_til_day"
            | "gtc"
            | "immediate_or_cancel"
            | "ioc"
          )
        | null;
      /**
       * True if the order must rest. If it would trade on arrival, it gets the best price at which it does not: one tick from the best price of the other side.
       */
      post_only?: boolean;
      /**
       * The user's own key of the order, 1 to 64 characters.
       */
      client_order_id?: string | null;
      /**
       * True to cut the order down to the position on the other side. If it rests, it shrinks with the position.
       */
      reduce_only?: boolean;
      /**
       * True to answer with the outcome of the order, and to record nothing.
       */
      dry_run?: boolean;
      /**
       * The user's own name of a group of orders, 1 to 64 characters.
       */
      label?: string | null;
      /**
       * Price that a trigger order waits for: that of the index, the mark, or the last trade.
       */
      trigger?: ("index_price" | "last_price" | "mark_price") | null;
      /**
       * Price at which a trigger order triggers; none for a trailing stop.
       */
      trigger_price?: number | null;
      /**
       * Distance from the best price since the placing at which a trailing stop triggers.
       */
      trigger_offset?: number | null;
      /**
       * True if a `post_only` order that would trade is refused instead.
       */
      reject_post_only?: boolean;
      /**
       * Makes an iceberg order: the book shows only so much of it at once. At most `amount`, at least 100 times `min_size`, and more than `amount` / 101. For orders that can rest.
       */
      display_amount?: number | null;
      /**
       * The request is refused if it comes later than this. Default: it is always valid.
       */
      valid_until_us?: number | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: OrderResult | DryRunResult;
  };
  /**
   * Change the amount or the price of an open order.
   */
  "private/edit": {
    params: {
      /**
       * Id of the order: an integer that is never used again, also after a restart.
       */
      order_id?: number | null;
      /**
       * The user's own key of the order, 1 to 64 characters.
       */
      client_order_id?: string | null;
      /**
       * New total size, filled part included. Default: the size is kept.
       */
      amount?: number | null;
      /**
       * New price of one contract. Default: the price is kept.
       */
      price?: number | null;
      /**
       * Label of the order; no other open order may have it.
       */
      label?: string | null;
      /**
       * Refuse with 1003 if the order is in another instrument.
       */
      instrument_id?: string | null;
      /**
       * Price at which a trigger order triggers; none for a trailing stop.
       */
      trigger_price?: number | null;
      /**
       * Distance from the best price since the placing at which a trailing stop triggers.
       */
      trigger_offset?: number | null;
      /**
       * The request is refused if it comes later than this. Default: it is always valid.
       */
      valid_until_us?: number | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: OrderResult;
  };
  /**
   * Place two or three orders of which a fill or the end of one places or cancels the others.
   */
  "private/place_linked_orders": {
    params: {
      /**
       * one_cancels_other (two orders), one_triggers_other (two) or one_triggers_one_cancels_other (three).
       */
      link: "one_cancels_other" | "one_triggers_one_cancels_other" | "one_triggers_other";
      /**
       * The orders; the first is the primary, whose fills place the others.
       *
       * @minItems 2
       * @maxItems 3
       */
      orders: [LinkedOrderParams, LinkedOrderParams] | [LinkedOrderParams, LinkedOrderParams, LinkedOrderParams];
      /**
       * Which fills act on the other orders: any (first_hit), only the one that fills the order (complete_fill), or each in proportion (incremental).
       */
      fill_condition?: "complete_fill" | "first_hit" | "incremental";
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: LinkedOrdersResult;
  };
  /**
   * Cancel an open order.
   */
  "private/cancel": {
    params: {
      /**
       * Id of the order: an integer that is never used again, also after a restart.
       */
      order_id?: number | null;
      /**
       * The user's own key of the order, 1 to 64 characters.
       */
      client_order_id?: string | null;
      /**
       * Refuse with 1003 if the order is in another instrument.
       */
      instrument_id?: string | null;
      /**
       * Label of the order; no other open order may have it.
       */
      label?: string | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: CancelResult;
  };
  /**
   * Cancel all open orders, or those of one instrument, asset, kind or label.
   */
  "private/cancel_all": {
    params: {
      /**
       * Only orders in this instrument.
       */
      instrument_id?: string | null;
      /**
       * Only orders on this asset.
       */
      asset?: string | null;
      /**
       * Only orders in calls, or only in puts; option: in both.
       */
      kind?: ("call" | "option" | "put") | null;
      /**
       * Only orders with this label.
       */
      label?: string | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: CancelAllResult;
  };
  /**
   * Place, replace or cancel many two-sided quotes of an MMP group at once.
   */
  "private/mass_quote": {
    params: {
      /**
       * Name of the MMP group, 1 to 64 characters.
       */
      mmp_group: string;
      /**
       * 1 to 100 quotes, each of another instrument.
       *
       * @minItems 1
       * @maxItems 100
       */
      quotes: [QuoteParams, ...QuoteParams[]];
      /**
       * The user's own name of the mass quote, 1 to 64 characters.
       */
      quote_id: string;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: MassQuoteResult;
  };
  /**
   * Cancel quotes: all of them, or those that fit every filter that is given.
   */
  "private/cancel_quotes": {
    params: {
      /**
       * Only quotes in this instrument.
       */
      instrument_id?: string | null;
      /**
       * Only quotes on this asset.
       */
      asset?: string | null;
      /**
       * Only quotes of this MMP group.
       */
      mmp_group?: string | null;
      /**
       * Only quotes of this set.
       */
      quote_set_id?: string | null;
      /**
       * Only quotes in options whose delta by the model is at least this: -1 to 0 for puts, 0 to 1 for calls.
       */
      min_delta?: number | null;
      /**
       * Only quotes in options whose delta by the model is at most this.
       */
      max_delta?: number | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: CancelAllResult;
  };
  /**
   * Create an MMP group, replace its limits, or remove it.
   */
  "private/set_mmp_config": {
    params: {
      /**
       * Name of the MMP group, 1 to 64 characters.
       */
      mmp_group: string;
      /**
       * Asset of the options, such as SOL.
       */
      asset: string;
      /**
       * Length of the interval in which fills are summed, at most 3600; 0 removes the group and cancels its quotes.
       */
      interval: number;
      /**
       * Length of a freeze, at most 3600; 0: until private/reset_mmp.
       */
      frozen_time?: number;
      /**
       * Sum of the fills, bought and sold, that freezes the group.
       */
      quantity_limit?: number | null;
      /**
       * Net delta of the fills, in either direction, that freezes the group.
       */
      delta_limit?: number | null;
      /**
       * Net vega of the fills for a percentage point, in either direction, that freezes the group.
       */
      vega_limit?: number | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: MmpGroupResult;
  };
  /**
   * End the freeze of an MMP group.
   */
  "private/reset_mmp": {
    params: {
      /**
       * Name of the MMP group, 1 to 64 characters.
       */
      mmp_group: string;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: MmpGroupResult;
  };
  /**
   * The MMP groups of the user, with their limits and freezes.
   */
  "private/get_mmp_config": {
    params: {
      /**
       * Only this group.
       */
      mmp_group?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: MmpGroup[];
  };
  /**
   * Place a reduce-only order for the whole position in an instrument.
   */
  "private/close_position": {
    params: {
      /**
       * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
       */
      instrument_id: string;
      /**
       * market, or limit with a `price`.
       */
      type?: "limit" | "market";
      /**
       * Limit of the price of one contract; only for a limit order.
       */
      price?: number | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: OrderResult;
  };
  /**
   * The cash that a limit order would lock, and whether it would be accepted.
   */
  "private/get_margin": {
    params: {
      /**
       * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
       */
      instrument_id: string;
      /**
       * bid to buy, ask to sell.
       */
      side: "ask" | "bid";
      /**
       * Size of the order.
       */
      amount: number;
      /**
       * Limit price of one contract.
       */
      price: number;
    };
    result: MarginResult;
  };
  /**
   * The margins and Greeks of the account with other positions. Nothing is recorded.
   */
  "private/simulate": {
    params: {
      /**
       * Contracts by instrument id, negative for short ones; 200 at most.
       */
      positions: {
        [k: string]: number;
      };
      /**
       * True to add the positions to those of the account, false to replace them. Default: true.
       */
      add_positions?: boolean;
    };
    result: SimulatedAccount;
  };
  /**
   * The life of one of the user's orders, oldest step first.
   */
  "private/explain_order": {
    params: {
      /**
       * Id of the order: an integer that is never used again, also after a restart.
       */
      order_id?: number | null;
      /**
       * The user's own key of the order, 1 to 64 characters.
       */
      client_order_id?: string | null;
      /**
       * The account. Another one than the user's own only for the administrator.
       */
      user_id?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: TimelineResult;
  };
  /**
   * The state of one of the user's orders, open or finished.
   */
  "private/get_order": {
    params: {
      /**
       * Id of the order: an integer that is never used again, also after a restart.
       */
      order_id?: number | null;
      /**
       * The user's own key of the order, 1 to 64 characters.
       */
      client_order_id?: string | null;
      /**
       * Label of the order: the newest open one with it, else the newest finished one.
       */
      label?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: Order;
  };
  /**
   * The user's open orders, oldest first.
   */
  "private/get_open_orders": {
    params: {
      /**
       * Only orders in this instrument.
       */
      instrument_id?: string | null;
      /**
       * Only orders with this label.
       */
      label?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: Order[];
  };
  /**
   * The user's finished orders, newest first.
   */
  "private/get_order_history": {
    params: {
      /**
       * Only entries of this instrument.
       */
      instrument_id?: string | null;
      /**
       * Only orders with this label.
       */
      label?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
      /**
       * Maximum number of entries.
       */
      count?: number;
      /**
       * Only entries with a smaller id than this one, for the next page.
       */
      before?: number | null;
      /**
       * Only records of commands at or after this time.
       */
      start_us?: number | null;
      /**
       * Only records of commands at or before this time.
       */
      end_us?: number | null;
    };
    result: Order[];
  };
  /**
   * The user's trades, newest first.
   */
  "private/get_user_trades": {
    params: {
      /**
       * Only entries of this instrument.
       */
      instrument_id?: string | null;
      /**
       * Only trades of this order of the user.
       */
      order_id?: number | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
      /**
       * Maximum number of entries.
       */
      count?: number;
      /**
       * Only entries with a smaller id than this one, for the next page.
       */
      before?: number | null;
      /**
       * Only records of commands at or after this time.
       */
      start_us?: number | null;
      /**
       * Only records of commands at or before this time.
       */
      end_us?: number | null;
    };
    result: UserTrade[];
  };
  /**
   * The settlements of the user's positions, newest first.
   */
  "private/get_settlements": {
    params: {
      /**
       * Maximum number of entries.
       */
      count?: number;
      /**
       * Only settlements with a smaller `seq`.
       */
      before?: number | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: UserSettlement[];
  };
  /**
   * The user's balance.
   */
  "private/get_balance": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: Balance;
  };
  /**
   * The user's positions with margins, profits and Greeks.
   */
  "private/get_positions": {
    params: {
      /**
       * Only instruments on this asset.
       */
      asset?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: PositionsResult;
  };
  /**
   * The movements of the user's cash, newest first, each with its cause and the balance after it.
   */
  "private/get_transaction_log": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
      /**
       * Maximum number of entries.
       */
      count?: number;
      /**
       * Only entries with a smaller id than this one, for the next page.
       */
      before?: number | null;
      /**
       * Only records of commands at or after this time.
       */
      start_us?: number | null;
      /**
       * Only records of commands at or before this time.
       */
      end_us?: number | null;
    };
    result: TransactionsResult;
  };
  /**
   * The profit of the account over time, in parts, with equity, margins and Greeks.
   */
  "private/get_profit_history": {
    params: {
      /**
       * Maximum number of moments, evenly spread in time.
       */
      points?: number;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
      /**
       * Only commands from this one on. Not together with start_us.
       */
      from_seq?: number | null;
      /**
       * Only commands up to this one. Not together with end_us.
       */
      to_seq?: number | null;
      /**
       * Only commands at or after this time.
       */
      start_us?: number | null;
      /**
       * Only commands at or before this time.
       */
      end_us?: number | null;
      /**
       * The account. Another one than the user's own only for the administrator.
       */
      user_id?: string | null;
    };
    result: ProfitHistory;
  };
  /**
   * The account as it would be without some orders, with other rules, or with other index prices.
   */
  "private/what_if": {
    params: {
      /**
       * The account. Another one than the user's own only for the administrator.
       */
      user_id?: string | null;
      /**
       * Orders of the account whose commands are left out. With a linked order, all orders of its command are.
       *
       * @maxItems 100
       */
      without_orders?: number[];
      /**
       * Values of rules by name, such as fees: 100/200, as in `exchange what-if --set`. Before from_seq the rules are as they were.
       */
      rules?: {
        [k: string]: string;
      };
      /**
       * By asset, points of a time in microseconds and a price in micros. Each recorded index price from the first point on is replaced by that of the straight line between two points; after the last one its price stays.
       */
      index_paths?: {
        [k: string]: never[][];
      };
      /**
       * The rules hold from right after this command. Default: the first command.
       */
      from_seq?: number | null;
      /**
       * Compare up to this command. Default: the last one.
       */
      to_seq?: number | null;
    };
    result: WhatIfResult;
  };
  /**
   * The user's balance, positions, profits and limits.
   */
  "private/get_account": {
    params: {
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: Account;
  };
  /**
   * Cancel the open orders of this connection, or all of the user, when it ends.
   */
  "private/enable_cancel_on_disconnect": {
    params: {
      /**
       * connection: only the orders that this connection places from now on; account: all orders of the user.
       */
      scope?: "account" | "connection";
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: SeqResult;
  };
  /**
   * Keep the open orders when this connection ends.
   */
  "private/disable_cancel_on_disconnect": {
    params: {
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: SeqResult;
  };
  /**
   * List an instrument.
   */
  "admin/create_instrument": {
    params: {
      /**
       * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
       */
      instrument_id: string;
      /**
       * Prices of orders must be multiples of this.
       */
      tick_size?: number;
      /**
       * Smallest size of an order.
       */
      min_size?: number;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: InstrumentResult;
  };
  /**
   * Pause trading in an instrument, a series, an asset or everywhere.
   */
  "admin/pause": {
    params: {
      /**
       * One instrument; then neither `asset` nor `expiration`.
       */
      instrument_id?: string | null;
      /**
       * All instruments on this asset.
       */
      asset?: string | null;
      /**
       * All instruments with this expiration.
       */
      expiration?: number | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: PauseResult;
  };
  /**
   * Resume trading in an instrument, a series, an asset or everywhere.
   */
  "admin/resume": {
    params: {
      /**
       * One instrument; then neither `asset` nor `expiration`.
       */
      instrument_id?: string | null;
      /**
       * All instruments on this asset.
       */
      asset?: string | null;
      /**
       * All instruments with this expiration.
       */
      expiration?: number | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: PauseResult;
  };
  /**
   * Halt the exchange: only reading and cancelling remain possible.
   */
  "admin/halt": {
    params: {
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: HaltResult;
  };
  /**
   * End the halt of the exchange.
   */
  "admin/end_halt": {
    params: {
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: HaltResult;
  };
  /**
   * Accept the time of the system clock after it jumped, so that commands are accepted again.
   */
  "admin/confirm_time": {
    params: {};
    result: ConfirmedTime;
  };
  /**
   * Get the metrics of the running exchange. From the first call on, it counts requests and batches.
   */
  "admin/get_metrics": {
    params: {};
    result: MetricsResult;
  };
  /**
   * Set the index price of an asset.
   */
  "admin/set_index_price": {
    params: {
      /**
       * Asset of the options, such as SOL.
       */
      asset: string;
      /**
       * Price of one unit of the asset.
       */
      price: number;
      /**
       * True to record the price even if it is far from the last one.
       */
      forced?: boolean;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: IndexPrice;
  };
  /**
   * Settle an expired series whose settlement is delayed.
   */
  "admin/settle": {
    params: {
      /**
       * Asset of the options, such as SOL.
       */
      asset: string;
      /**
       * Time of expiry, at 08:00 UTC.
       */
      expiration: number;
      /**
       * Delivery price of one unit of the asset.
       */
      price: number;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: Settlement;
  };
  /**
   * Replace the rules; a field that is left out gets its default. With `dry_run`, show the effects.
   */
  "admin/set_rules": {
    params: {
      /**
       * The complete new rules. A field that is left out gets its default.
       */
      rules: Rules;
      /**
       * A newer version of the rules. Without it, the version stays.
       */
      rules_version?: number | null;
      /**
       * True to answer with the accounts to liquidate, and to record nothing.
       */
      dry_run?: boolean;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: RulesResult | RulesDryRunResult;
  };
  /**
   * Add cash to an account.
   */
  "admin/deposit": {
    params: {
      /**
       * Id of the user.
       */
      user_id: string;
      /**
       * Cash to pay in or out.
       */
      amount: number;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: Balance;
  };
  /**
   * Take available cash out of an account.
   */
  "admin/withdraw": {
    params: {
      /**
       * Id of the user.
       */
      user_id: string;
      /**
       * Cash to pay in or out.
       */
      amount: number;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: Balance;
  };
  /**
   * Cancel the orders of an account without positions, repay its debt, and give it the starting cash.
   */
  "admin/reset_account": {
    params: {
      /**
       * Id of the user.
       */
      user_id: string;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: Balance;
  };
  /**
   * Forbid an account to place and edit orders.
   */
  "admin/suspend": {
    params: {
      /**
       * Id of the user.
       */
      user_id: string;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: SuspensionResult;
  };
  /**
   * End the suspension of an account.
   */
  "admin/reinstate": {
    params: {
      /**
       * Id of the user.
       */
      user_id: string;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: SuspensionResult;
  };
  /**
   * Set an account's own limits; a limit that is left out follows the rules.
   */
  "admin/set_limits": {
    params: {
      /**
       * Id of the user.
       */
      user_id: string;
      /**
       * Maximum number of open orders of the user; null: as in the rules.
       */
      open_orders_max?: number | null;
      /**
       * Maximum position of the user in one instrument, open orders included; 0: no limit; null: as in the rules.
       */
      position_max?: number | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: UserLimitsResult;
  };
  /**
   * Cancel all open orders of a user, or those in one instrument.
   */
  "admin/cancel_all": {
    params: {
      /**
       * Id of the user.
       */
      user_id: string;
      /**
       * Only orders in this instrument.
       */
      instrument_id?: string | null;
      /**
       * True to get the receipt of the command, in the result or in the data of the error.
       */
      receipt?: boolean;
    };
    result: CancelAllResult;
  };
  /**
   * The balance, positions, profits and limits of any account.
   */
  "admin/get_account": {
    params: {
      /**
       * Id of the user.
       */
      user_id: string;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: Account;
  };
  /**
   * All accounts in the order in which they were opened: cash, suspension and open orders.
   */
  "admin/get_accounts": {
    params: {
      /**
       * Maximum number of entries.
       */
      count?: number;
      /**
       * Only accounts opened after that of this user, for the next page.
       */
      after?: string | null;
      /**
       * Answer as right after this command. Not together with at_ts_us.
       */
      at_seq?: number | null;
      /**
       * Answer as at this time, after the last command at or before it.
       */
      at_ts_us?: number | null;
    };
    result: AccountsResult;
  };
  /**
   * The OpenRPC document of the methods of this server.
   */
  "public/get_api": {
    params: {};
    result: {};
  };
  /**
   * The OpenRPC document of the methods of this server.
   */
  "rpc.discover": {
    params: {};
    result: {};
  };
}
/**
 * `right` and `expires_us` are those of the key that opened the account, if one did.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "LoginResult".
 */
export interface LoginResult {
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * Right of the key: `read`, `trade` (includes read) or `admin` (includes both).
   */
  right?: "admin" | "read" | "trade";
  /**
   * Time from which the key opens nothing.
   */
  expires_us?: number;
}
/**
 * The channels, and the first command that their streams publish live.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "SubscribeResult".
 */
export interface SubscribeResult {
  /**
   * Names of the channels that are now subscribed.
   */
  channels: string[];
  /**
   * The first command that is still to come. The streams catch up with those before it.
   */
  seq: number;
}
/**
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "VersionResult".
 */
export interface VersionResult {
  /**
   * Version of the exchange.
   */
  version: string;
}
/**
 * Exchange time.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "TimeResult".
 */
export interface TimeResult {
  /**
   * Exchange time.
   */
  ts_us: number;
}
/**
 * Whether the exchange is halted, and the assets that are reopening.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "ExchangeStatus".
 */
export interface ExchangeStatus {
  /**
   * True while the exchange is halted: only reading and cancelling are possible.
   */
  halted: boolean;
  /**
   * The assets that are reopening after a halt or a crash; empty if there are none.
   */
  reopening: Reopening[];
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
}
/**
 * The phase in which an asset reopens after a halt or a crash.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Reopening".
 */
export interface Reopening {
  /**
   * Asset of the options, such as SOL.
   */
  asset: string;
  /**
   * cancel_only until the next index price of the asset, then post_only: only post-only orders are accepted.
   */
  phase: "cancel_only" | "post_only";
  /**
   * Time when all orders are accepted; null in the phase cancel_only.
   */
  until_us: number | null;
}
/**
 * The last command of the journal.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "HeadResult".
 */
export interface HeadResult {
  /**
   * Sequence number of the last command.
   */
  seq: number;
  /**
   * Exchange time of that command.
   */
  ts_us: number;
  /**
   * Hash of that command, 64 hexadecimal digits. It covers all commands before it.
   */
  hash: string;
}
/**
 * An option.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Instrument".
 */
export interface Instrument {
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Asset of the options, such as SOL.
   */
  asset: string;
  /**
   * call or put.
   */
  option_type: "call" | "put";
  /**
   * Strike price.
   */
  strike: number;
  /**
   * Time of expiry, at 08:00 UTC.
   */
  expiration: number;
  /**
   * Prices of orders are multiples of this.
   */
  tick_size: number;
  /**
   * Smallest size of an order.
   */
  min_size: number;
  /**
   * open, paused (no new orders and edits), or expired.
   */
  state: "expired" | "open" | "paused";
  /**
   * Size of one contract.
   */
  contract_size: number;
  /**
   * Decimal places of prices: 6, because they are micros.
   */
  price_decimals: number;
  /**
   * Decimal places of sizes: 3, because they are millicontracts.
   */
  size_decimals: number;
  /**
   * Settlement price of the series; null until it is settled.
   */
  delivery_price: number | null;
}
/**
 * The best levels of a book, best first, as of command `seq`.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "OrderBookResult".
 */
export interface OrderBookResult {
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Price levels of the bids, the highest price first.
   */
  bids: BookLevel[];
  /**
   * Price levels of the asks, the lowest price first.
   */
  asks: BookLevel[];
  /**
   * Lowest price of an order now; null: any price.
   */
  min_price: number | null;
  /**
   * Highest price of an order now; null: any price.
   */
  max_price: number | null;
}
/**
 * One price level of an order book.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "BookLevel".
 */
export interface BookLevel {
  /**
   * Price of one contract.
   */
  price: number;
  /**
   * Sum of the remaining sizes of the orders at this price.
   */
  size: number;
  /**
   * Number of orders at this price.
   */
  count: number;
}
/**
 * A trade, without its two users. `liquidation`: the exchange sent the incoming order.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Trade".
 */
export interface Trade {
  /**
   * Id of the trade, an integer.
   */
  trade_id: number;
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Price of one contract.
   */
  price: number;
  /**
   * Size of the trade.
   */
  size: number;
  /**
   * Side of the order that traded on arrival.
   */
  taker_side: "ask" | "bid";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * True if the exchange sent the incoming order to reduce a position.
   */
  liquidation?: boolean;
}
/**
 * The prices, volumes and Greeks of one instrument.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Ticker".
 */
export interface Ticker {
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * open, paused (no new orders and edits), or expired.
   */
  state: "expired" | "open" | "paused";
  /**
   * Highest price of the bids; null if there are none.
   */
  best_bid: number | null;
  /**
   * Size at that price; 0 if there are no bids.
   */
  best_bid_size: number;
  /**
   * Lowest price of the asks; null if there are none.
   */
  best_ask: number | null;
  /**
   * Size at that price; 0 if there are no asks.
   */
  best_ask_size: number;
  /**
   * Middle of best bid and best ask, rounded down; null without both.
   */
  mid: number | null;
  /**
   * Mark price; null if the asset has no index price.
   */
  mark: number | null;
  /**
   * Price of the last trade; null before the first trade.
   */
  last: number | null;
  /**
   * Index price of the asset; null if it has none.
   */
  index: number | null;
  /**
   * Contracts traded in the last 1,440 minutes; 0 after expiry.
   */
  volume_24h: number;
  /**
   * Contracts held long, which is as many as are held short.
   */
  open_interest: number;
  /**
   * Implied volatility of the mark price, 1.0 for 100 % a year; null if it has none.
   */
  mark_iv: number | null;
  /**
   * Black and Scholes at the mark price; null if the mark price has no volatility.
   */
  greeks: Greeks | null;
  /**
   * Lowest price of an order now; null: any price.
   */
  min_price: number | null;
  /**
   * Highest price of an order now; null: any price.
   */
  max_price: number | null;
  /**
   * Implied volatility of the best bid, 1.0 for 100 % a year; null if it has none.
   */
  bid_iv: number | null;
  /**
   * Implied volatility of the best ask, 1.0 for 100 % a year; null if it has none.
   */
  ask_iv: number | null;
  /**
   * Price at which the series would be delivered now: the index price, in the last half hour its average until now; null without an index price.
   */
  estimated_delivery_price: number | null;
  /**
   * The trades of the last 1,440 minutes, the current one included; none after expiry.
   */
  stats: DayStatistics;
  /**
   * The price on which the options of the expiration are valued; only if the rules set one.
   */
  forward?: number;
}
/**
 * Greeks of contracts: `gamma` per unit of the spot, `theta` per day, `vega` and `rho` per percentage point.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Greeks".
 */
export interface Greeks {
  /**
   * Change of the option price for 1 USDC of the index, or of the forward if one is set.
   */
  delta: number;
  /**
   * Change of delta for 1 USDC of the index.
   */
  gamma: number;
  /**
   * Change of the option price for 1 percentage point of volatility.
   */
  vega: number;
  /**
   * Change of the option price for one day.
   */
  theta: number;
  /**
   * Change of the option price for 1 percentage point of interest.
   */
  rho: number;
}
/**
 * The trades of one instrument in the last 24 hours. The prices and their change are None if there were none.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "DayStatistics".
 */
export interface DayStatistics {
  /**
   * Highest price; null if there were no trades.
   */
  high: number | null;
  /**
   * Lowest price; null if there were no trades.
   */
  low: number | null;
  /**
   * Contracts traded, the same as volume_24h.
   */
  volume: number;
  /**
   * Premium of the trades: the sum of price and size; null beyond 2^53 - 1.
   */
  notional: number | null;
  /**
   * From the price of the first of the trades to that of the last; null if there were no trades.
   */
  price_change: number | null;
}
/**
 * The index price of an asset, and the command that set it.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "IndexPrice".
 */
export interface IndexPrice {
  /**
   * Asset of the options, such as SOL.
   */
  asset: string;
  /**
   * Price of one unit of the asset.
   */
  price: number;
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
}
/**
 * The volatility surface of an asset, by expiration, and the last command that set a smile.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "MarkSurface".
 */
export interface MarkSurface {
  /**
   * Asset of the options, such as SOL.
   */
  asset: string;
  /**
   * The smiles of the expirations that are not over, the nearest first.
   */
  smiles: Smile[];
  /**
   * Sequence number of the last command that set a smile. The end of an expiration sets none.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
}
/**
 * The parameters of the smile of one expiration, in millionths.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Smile".
 */
export interface Smile {
  /**
   * Time of expiry, at 08:00 UTC.
   */
  expiration: number;
  /**
   * Volatility at the money, a year.
   */
  level: number;
  /**
   * Skew of the smile.
   */
  skew: number;
  /**
   * Curvature of the smile.
   */
  curvature: number;
  /**
   * The price on which the options of the expiration are valued; only if the rules set one.
   */
  forward?: number;
}
/**
 * Candles as of command `seq`, the oldest first.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Candles".
 */
export interface Candles {
  /**
   * The candles, the oldest first; there are none before the first trade or price.
   */
  candles: Candle[];
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
}
/**
 * The trades of an instrument, or the prices of an index, in the interval that begins at `ts_us`.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Candle".
 */
export interface Candle {
  /**
   * Begin of the interval.
   */
  ts_us: number;
  /**
   * First price; in an interval without one, the close of the candle before.
   */
  open: number;
  /**
   * Highest price.
   */
  high: number;
  /**
   * Lowest price.
   */
  low: number;
  /**
   * Last price; in an interval without one, the close of the candle before.
   */
  close: number;
  /**
   * Contracts traded; 0 for an index.
   */
  volume: number;
  /**
   * Premium of the trades: the sum of price and size; 0 for an index, null beyond 2^53 - 1.
   */
  notional: number | null;
}
/**
 * The volatility of an index over the 15 days before `ts_us`.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "HistoricalVolatility".
 */
export interface HistoricalVolatility {
  /**
   * A full hour: the volatility is that of the 15 days before it.
   */
  ts_us: number;
  /**
   * Standard deviation of the returns of 15 days, a year.
   */
  volatility: number;
}
/**
 * The buckets and marks of a part of the journal, oldest first, as of command `seq`.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Timeline".
 */
export interface Timeline {
  /**
   * The first moment that can be shown: the history begins with this command.
   */
  first_seq: number;
  /**
   * The last moment that can be shown.
   */
  last_seq: number;
  /**
   * Time of that command.
   */
  first_ts_us: number;
  /**
   * Time of that command.
   */
  last_ts_us: number;
  /**
   * The commands of the range in parts, oldest first.
   */
  buckets: TimelineBucket[];
  /**
   * What happened in the range, oldest first. Nobody is named.
   */
  marks: TimelineMark[];
  /**
   * The number of marks that did not fit.
   */
  marks_left_out: number;
  /**
   * Answered as right after this command.
   */
  seq: number;
}
/**
 * Commands that follow each other. `index_prices` has the last price of each asset up to the end.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "TimelineBucket".
 */
export interface TimelineBucket {
  /**
   * First command of the bucket.
   */
  first_seq: number;
  /**
   * Last command of the bucket.
   */
  last_seq: number;
  /**
   * Time of the first command.
   */
  first_ts_us: number;
  /**
   * Time of the last command.
   */
  last_ts_us: number;
  /**
   * Number of commands.
   */
  commands: number;
  /**
   * Number of trades.
   */
  trades: number;
  /**
   * Contracts traded.
   */
  volume: number;
  /**
   * The last index price of each asset up to the last command.
   */
  index_prices: {
    [k: string]: number;
  };
}
/**
 * An event of the market or of the server, in words.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "TimelineMark".
 */
export interface TimelineMark {
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * What happened.
   */
  kind:
    | "alarm"
    | "crash"
    | "delayed"
    | "expiry"
    | "halt"
    | "liquidation"
    | "loss"
    | "pause"
    | "resume"
    | "rules"
    | "start"
    | "stop";
  /**
   * The same in words.
   */
  text: string;
}
/**
 * A moment, and the first and the last one that can be shown. `clipped`: there were fewer steps than asked for.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "MomentResult".
 */
export interface MomentResult {
  /**
   * The moment is right after this command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * There were fewer units than that: the moment is the first or the last one.
   */
  clipped: boolean;
  /**
   * The first moment that can be shown: the history begins with this command.
   */
  first_seq: number;
  /**
   * Time of that command.
   */
  first_ts_us: number;
  /**
   * The last moment that can be shown.
   */
  last_seq: number;
  /**
   * Time of that command.
   */
  last_ts_us: number;
}
/**
 * The settlement of the series of an asset that expired at one time.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Settlement".
 */
export interface Settlement {
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Asset of the options, such as SOL.
   */
  asset: string;
  /**
   * Time of expiry, at 08:00 UTC.
   */
  expiration: number;
  /**
   * Settlement price of the series; null until it is settled.
   */
  delivery_price: number | null;
  /**
   * settled, or delayed while the series waits for admin/settle.
   */
  state: "delayed" | "settled";
}
/**
 * The price that command `seq` settled a series at.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "DeliveryPrice".
 */
export interface DeliveryPrice {
  /**
   * Asset of the options, such as SOL.
   */
  asset: string;
  /**
   * Time of expiry, at 08:00 UTC.
   */
  expiration: number;
  /**
   * Settlement price of the series.
   */
  delivery_price: number;
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
}
/**
 * The cash of the insurance.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "InsuranceResult".
 */
export interface InsuranceResult {
  /**
   * Cash of the insurance. It may be negative.
   */
  balance: number;
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
}
/**
 * The rules in force after command `seq`, and their version.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "RulesResult".
 */
export interface RulesResult {
  /**
   * The rules of the exchange.
   */
  rules: Rules;
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
  /**
   * Version of the rules.
   */
  rules_version: number;
}
/**
 * The rules of an exchange. `*_max` and `*_kept` are for each user.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Rules".
 */
export interface Rules {
  /**
   * cancel_resting: the user's resting order is cancelled. off: it trades.
   */
  self_trade_prevention?: "cancel_resting" | "off";
  /**
   * Fees on the premium.
   */
  fees?: Fees;
  /**
   * What a short contract locks. cash_secured: its strike. standard: a margin that follows the index price, and the strike while the asset has no index price.
   */
  collateral?: "cash_secured" | "standard";
  /**
   * Cash of a new account.
   */
  starting_cash_micros?: number;
  /**
   * Maximum number of open orders of one user.
   */
  open_orders_max?: number;
  /**
   * Finished orders that the exchange keeps in memory for each user, and as many trigger orders that ended.
   */
  finished_orders_kept?: number;
  /**
   * The options market. Left out: the exchange matches orders and does nothing else.
   */
  market?: Market;
}
/**
 * The fees of each side of a trade on the premium, rounded down.
 */
export interface Fees {
  /**
   * Fee of the maker, as a share of the premium (price times size).
   */
  maker_premium_ppm?: number;
  /**
   * Fee of the taker, as a share of the premium (price times size).
   */
  taker_premium_ppm?: number;
}
/**
 * The rules of an options market: series rules, index prices, margins, liquidation and settlement.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Market".
 */
export interface Market {
  /**
   * The series rules, at most one for each asset.
   */
  series?: Series[];
  /**
   * Fees on the index price.
   */
  fees?: IndexFees;
  /**
   * Maximum age of the index price for a sale that needs collateral; 0: no limit.
   */
  index_age_max_s?: number;
  /**
   * Maximum factor between two index prices; 0: no limit.
   */
  index_jump_max?: number;
  /**
   * Maximum spread of a book that makes the mark price, as a share of the index.
   */
  mark_spread_max_ppm?: number;
  /**
   * How far above the mark price a liquidation buys by rules version 1, as a share of the index.
   */
  liquidation_limit_ppm?: number;
  /**
   * Maximum position of one user in one instrument; 0: no limit.
   */
  position_max_milli?: number;
  /**
   * How accounts are liquidated, from rules version 2 on; left out: the defaults.
   */
  liquidation?: LiquidationRules;
  /**
   * How series settle, from rules version 2 on; left out: the defaults.
   */
  settlement?: SettlementRules;
  /**
   * The volatility surface of assets whose series rule has none. Missing: the default.
   */
  surface?: Surface;
  /**
   * The band around the mark for assets whose series rule has none; null: no band.
   */
  band?: Band | null;
  /**
   * Distance of the forward from the index, as a share of the index a year, by asset and expiration, such as SOL-27MAR26. Missing: the forward is the index.
   */
  forwards?: {
    [k: string]: number;
  };
}
/**
 * A series rule: the options on one asset that the exchange lists by itself.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Series".
 */
export interface Series {
  /**
   * Asset of the options, such as SOL.
   */
  asset: string;
  /**
   * Distance between two strikes.
   */
  strike_spacing_usdc: number;
  /**
   * Number of strikes on each side of the one nearest to the index price.
   */
  strikes_each_side?: number;
  /**
   * Prices of orders are multiples of this.
   */
  tick_micros?: number;
  /**
   * Smallest size of an order.
   */
  min_size_milli?: number;
  /**
   * How many of the next days have an expiration.
   */
  dailies?: number;
  /**
   * How many of the next Fridays have an expiration.
   */
  weeklies?: number;
  /**
   * How many of the next last Fridays of a month have an expiration.
   */
  monthlies?: number;
  /**
   * The volatility surface of this asset. Missing: that of the market.
   */
  surface?: Surface;
  /**
   * The band around the mark for this asset; null: no band.
   */
  band?: Band | null;
}
/**
 * The volatility surface that marks follow under rules version 2. Without quotes each expiration has this smile.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Surface".
 */
export interface Surface {
  /**
   * Volatility at the money without quotes, a year, in millionths.
   */
  level_ppm?: number;
  /**
   * Skew of a smile without quotes, in millionths.
   */
  skew_ppm?: number;
  /**
   * Curvature of a smile without quotes, in millionths.
   */
  curvature_ppm?: number;
  /**
   * The lowest volatility at the money to which quotes move the surface.
   */
  level_min_ppm?: number;
  /**
   * The highest volatility at the money to which quotes move the surface.
   */
  level_max_ppm?: number;
  /**
   * The largest move of a parameter in a minute: 10000 is a volatility point.
   */
  move_ppm?: number;
  /**
   * The size that a bid and an ask must have to count, in millicontracts.
   */
  quote_size_min_milli?: number;
  /**
   * The number of strikes of an expiration that must have quotes that count.
   */
  quotes_min?: number;
}
/**
 * How far from the mark an order's price may be, from rules version 2 on; no band: as far as it likes.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Band".
 */
export interface Band {
  /**
   * Part of the band that is a share of the index price.
   */
  index_ppm?: number;
  /**
   * A move of the index whose gamma widens the band.
   */
  move_ppm?: number;
}
/**
 * Fees as a share of the index price, each with a maximum. All are rounded down.
 */
export interface IndexFees {
  /**
   * Fee of the maker, as a share of the index price times size.
   */
  maker_ppm?: number;
  /**
   * Fee of the taker, as a share of the index price times size.
   */
  taker_ppm?: number;
  /**
   * Maximum of the fee, as a share of the premium.
   */
  cap_ppm?: number;
  /**
   * Fee at settlement of the side that is paid, as a share of the delivery price.
   */
  delivery_ppm?: number;
  /**
   * Maximum of the delivery fee, as a share of the payout.
   */
  delivery_cap_ppm?: number;
  /**
   * The delivery fee of options that do not expire on a Friday; left out: `delivery_ppm`.
   */
  daily_delivery_ppm?: number;
  /**
   * Fee of a liquidated account for the insurance, as a share of the index price times size; left out: none.
   */
  liquidation_ppm?: number;
}
/**
 * How accounts below their maintenance margin are liquidated in slices, from rules version 2 on.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "LiquidationRules".
 */
export interface LiquidationRules {
  /**
   * How far from the mark price slices trade, as a share of the index.
   */
  limit_ppm?: number;
  /**
   * Slices end when the cash exceeds the maintenance margin by this share of it.
   */
  cushion_ppm?: number;
  /**
   * Index prices in a row below the maintenance margin after which the insurance takes over; 0: never.
   */
  takeover_after?: number;
  /**
   * Cash of the insurance below which it pays for no account.
   */
  insurance_floor_micros?: number;
}
/**
 * How series settle and how the market reopens, from rules version 2 on.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "SettlementRules".
 */
export interface SettlementRules {
  /**
   * Maximum age of the newest index price at the expiration of a series that settles; 0: no limit.
   */
  price_age_max_s?: number;
  /**
   * How long only post-only orders are accepted after a halt or a crash; 0: the market reopens at once.
   */
  post_only_s?: number;
  /**
   * How long after its expiration a settled series is delisted; left out: it stays listed.
   */
  settled_kept_days?: number;
}
/**
 * The order after the command, and its trades: all of them if the order is a `duplicate`.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "OrderResult".
 */
export interface OrderResult {
  /**
   * The order after the command.
   */
  order: Order;
  /**
   * The user's trades that the command caused.
   */
  trades: UserTrade[];
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * True if the order was placed before under the same client_order_id.
   */
  duplicate?: boolean;
  /**
   * The receipt of the command; only if the request asked for it.
   */
  receipt?: Receipt;
}
/**
 * An order of a user.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Order".
 */
export interface Order {
  /**
   * Id of the order: an integer that is never used again, also after a restart.
   */
  order_id: number;
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * bid to buy, ask to sell.
   */
  side: "ask" | "bid";
  /**
   * limit or market, or the type of a trigger order.
   */
  type:
    | ("limit" | "market" | "market_limit")
    | ("stop_limit" | "stop_market" | "take_limit" | "take_market" | "trailing_stop");
  /**
   * How long the order stays in the book.
   */
  time_in_force: "day" | "fok" | "gtc" | "ioc";
  /**
   * True if the order must rest. If it would trade on arrival, it gets the best price at which it does not: one tick from the best price of the other side.
   */
  post_only: boolean;
  /**
   * Price of one contract; null for a market order.
   */
  price: number | null;
  /**
   * Total size of the order, filled part included.
   */
  size: number;
  /**
   * Size that has traded.
   */
  filled: number;
  /**
   * Size that has not traded.
   */
  remaining: number;
  /**
   * Average price of the fills, rounded to the nearest micro; null before the first fill.
   */
  average_price: number | null;
  /**
   * State of the order.
   */
  status: "cancelled" | "filled" | "open" | "partially_filled" | "rejected" | "triggered" | "untriggered";
  /**
   * Exchange time of the placing of the order.
   */
  created_us: number;
  /**
   * Exchange time of the last change of the order.
   */
  updated_us: number;
  /**
   * The user's own key of the order, 1 to 64 characters.
   */
  client_order_id?: string | null;
  /**
   * The reason of the cancellation; only if the order was cancelled.
   */
  cancel_reason?:
    | (
        | "admin"
        | "cancel_on_disconnect"
        | "day_end"
        | "fok_unfilled"
        | "instrument_expired"
        | "insufficient_balance"
        | "ioc_remainder"
        | "linked_order"
        | "liquidation"
        | "market_remainder"
        | "mmp_removed"
        | "mmp_trigger"
        | "nothing_to_reduce"
        | "self_trade_prevention"
        | "user_request"
      )
    | null;
  /**
   * True if the order may only reduce a position: it is cut down to it, and shrinks with it.
   */
  reduce_only?: boolean;
  /**
   * True if the exchange placed the order to reduce a position of the user.
   */
  liquidation?: boolean;
  /**
   * The user's own name of a group of orders, 1 to 64 characters.
   */
  label?: string | null;
  /**
   * Id of the trigger order that placed this one.
   */
  trigger_order_id?: number | null;
  /**
   * Price that a trigger order waits for: that of the index, the mark, or the last trade.
   */
  trigger?: ("index_price" | "last_price" | "mark_price") | null;
  /**
   * Price at which a trigger order triggers; none for a trailing stop.
   */
  trigger_price?: number | null;
  /**
   * Distance from the best price since the placing at which a trailing stop triggers.
   */
  trigger_offset?: number | null;
  /**
   * The price that the order waits for, as it was when the order was placed.
   */
  trigger_reference_price?: number | null;
  /**
   * The reason why the order that a trigger order placed was refused.
   */
  reject_reason?: Reason | null;
  /**
   * Part of an iceberg order that the book shows now. Left out for other orders.
   */
  display_amount?: number | null;
  /**
   * Part of an iceberg order that the book shows at once. When it is filled, the order shows so much again, at the back of the queue of its price. Left out for other orders.
   */
  refresh_amount?: number | null;
  /**
   * Name of the MMP group, 1 to 64 characters.
   */
  mmp_group?: string | null;
  /**
   * The user's own name of a set of quotes, 1 to 64 characters.
   */
  quote_set_id?: string | null;
  /**
   * The user's own name of the mass quote, 1 to 64 characters.
   */
  quote_id?: string | null;
  /**
   * How the order is linked to others. Left out for other orders.
   */
  link?: ("one_cancels_other" | "one_triggers_one_cancels_other" | "one_triggers_other") | null;
  /**
   * Which fills act on the linked orders. Left out for other orders.
   */
  fill_condition?: ("complete_fill" | "first_hit" | "incremental") | null;
  /**
   * The orders that were linked together, this one or the one that it follows from included; the first is the primary. Left out for other orders.
   */
  linked_order_ids?: number[] | null;
  /**
   * The order whose fills this one waits for. Left out if it waits for none.
   */
  primary_order_id?: number | null;
}
/**
 * A trade as one of its two users sees it.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "UserTrade".
 */
export interface UserTrade {
  /**
   * Id of the trade, an integer.
   */
  trade_id: number;
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Price of one contract.
   */
  price: number;
  /**
   * Size of the trade.
   */
  size: number;
  /**
   * Side of the order that traded on arrival.
   */
  taker_side: "ask" | "bid";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Id of the order: an integer that is never used again, also after a restart.
   */
  order_id: number;
  /**
   * The user's own side.
   */
  side: "ask" | "bid";
  /**
   * maker: the user's order rested in the book. taker: it traded on arrival.
   */
  liquidity: "maker" | "taker";
  /**
   * Fee that the user paid for this trade.
   */
  fee: number;
  /**
   * The user's own key of the order, 1 to 64 characters.
   */
  client_order_id?: string | null;
  /**
   * True if the exchange reduced a position of the user with this trade.
   */
  liquidation?: boolean;
  /**
   * The user's own name of a group of orders, 1 to 64 characters.
   */
  label?: string | null;
}
/**
 * The place of a command in the journal, and its hash in hexadecimal. `exchange journal prove` looks for it.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Receipt".
 */
export interface Receipt {
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Hash of the command, 64 hexadecimal digits. It covers all commands before this one.
   */
  hash: string;
}
/**
 * The effects that an order would have: its state, its trades, and the user's balance and position after it.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "DryRunResult".
 */
export interface DryRunResult {
  /**
   * The order as it would be; its order_id is 0.
   */
  order: Order;
  /**
   * The trades that would happen; their trade_id and seq are 0.
   */
  trades: UserTrade[];
  /**
   * Always true.
   */
  dry_run: boolean;
  /**
   * The balance that the user would have.
   */
  balance: Balance;
  /**
   * The position in the instrument that the user would have.
   */
  position: Position;
  /**
   * True if the user already has this order under the same client_order_id.
   */
  duplicate?: boolean;
}
/**
 * The cash of a user, and how much of it is locked.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Balance".
 */
export interface Balance {
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * Cash that is not locked. Below zero if the index price moved against short positions.
   */
  available: number;
  /**
   * Cash that open orders and short positions lock.
   */
  locked: number;
  /**
   * Maintenance margin: an account with less cash is liquidated.
   */
  maintenance: number;
  /**
   * Sum that the insurance paid for the account and that it has not repaid.
   */
  shortfall: number;
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
  /**
   * Currency of the account: USDC.
   */
  currency: string;
  /**
   * Decimal places of amounts of cash: 6, because they are micros.
   */
  decimals: number;
}
/**
 * A position of a user in one instrument.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Position".
 */
export interface Position {
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Contracts held; negative for a short position.
   */
  quantity: number;
  /**
   * Average price of the fills, rounded to the nearest micro; null before the first fill.
   */
  average_price: number | null;
  /**
   * Cash that open orders and short positions lock.
   */
  locked: number;
  /**
   * Mark price; null if the asset has no index price.
   */
  mark: number | null;
  /**
   * Profit if the position were closed at its value now; null if it is beyond 2^53 - 1.
   */
  unrealised_pnl: number | null;
  /**
   * Realised profit since the position was last flat, fees deducted; null beyond 2^53 - 1.
   */
  realised_pnl: number | null;
}
/**
 * One order of linked orders: its side, and what `private/buy` and `private/sell` take.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "LinkedOrderParams".
 */
export interface LinkedOrderParams {
  /**
   * bid to buy, ask to sell.
   */
  side: "ask" | "bid";
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Size of the order.
   */
  amount: number;
  /**
   * limit or market, or the type of a trigger order.
   */
  type?:
    | ("limit" | "market" | "market_limit")
    | ("stop_limit" | "stop_market" | "take_limit" | "take_market" | "trailing_stop");
  /**
   * Limit price of one contract. Required for a limit order.
   */
  price?: number | null;
  /**
   * Default: gtc for a limit order, ioc for a market order.
   */
  time_in_force?:
    | ("day" | "fill_or_kill" | "fok" | "good_til_cancelled" | "good_til_day" | "gtc" | "immediate_or_cancel" | "ioc")
    | null;
  /**
   * True if the order must rest. If it would trade on arrival, it gets the best price at which it does not: one tick from the best price of the other side.
   */
  post_only?: boolean;
  /**
   * The user's own key of the order, 1 to 64 characters.
   */
  client_order_id?: string | null;
  /**
   * True if the order may only reduce a position: it is cut down to it, and shrinks with it.
   */
  reduce_only?: boolean;
  /**
   * The user's own name of a group of orders, 1 to 64 characters.
   */
  label?: string | null;
  /**
   * Price that a trigger order waits for: that of the index, the mark, or the last trade.
   */
  trigger?: ("index_price" | "last_price" | "mark_price") | null;
  /**
   * Price at which a trigger order triggers; none for a trailing stop.
   */
  trigger_price?: number | null;
  /**
   * Distance from the best price since the placing at which a trailing stop triggers.
   */
  trigger_offset?: number | null;
  /**
   * True if a `post_only` order that would trade is refused instead.
   */
  reject_post_only?: boolean;
  /**
   * The part of an iceberg order that the book shows at once.
   */
  display_amount?: number | null;
  /**
   * The request is refused if it comes later than this. Default: it is always valid.
   */
  valid_until_us?: number | null;
}
/**
 * The linked orders after the command, the primary first, and the trades that they made at once.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "LinkedOrdersResult".
 */
export interface LinkedOrdersResult {
  /**
   * The orders as they are after the command, in the order of the request.
   */
  orders: Order[];
  /**
   * The trades that the orders made on arrival.
   */
  trades: UserTrade[];
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * True if the client_order_id of the first order was used before.
   */
  duplicate?: boolean;
  /**
   * The receipt of the command; only if the request asked for it.
   */
  receipt?: Receipt;
}
/**
 * The order as command `seq` cancelled it.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "CancelResult".
 */
export interface CancelResult {
  /**
   * The order after the command.
   */
  order: Order;
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * The receipt of the command; only if the request asked for it.
   */
  receipt?: Receipt | null;
}
/**
 * How many orders were cancelled, and which.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "CancelAllResult".
 */
export interface CancelAllResult {
  /**
   * Number of orders that were cancelled.
   */
  cancelled: number;
  /**
   * Ids of the cancelled orders, the oldest first.
   */
  order_ids: number[];
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * The receipt of the command; only if the request asked for it.
   */
  receipt?: Receipt | null;
}
/**
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "QuoteParams".
 */
export interface QuoteParams {
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * The side that buys. Default: it stays as it is.
   */
  bid?: QuoteSideParams | null;
  /**
   * The side that sells. Default: it stays as it is.
   */
  ask?: QuoteSideParams | null;
  /**
   * The user's own name of a set of quotes, 1 to 64 characters.
   */
  quote_set_id?: string | null;
}
/**
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "QuoteSideParams".
 */
export interface QuoteSideParams {
  /**
   * Size that is open after the command; 0 cancels the side. Default: the open size stays.
   */
  amount?: number | null;
  /**
   * Limit price of one contract. Only a cancellation needs none.
   */
  price?: number | null;
  /**
   * True to refuse the side if it would trade on arrival.
   */
  post_only?: boolean;
}
/**
 * The orders of the quotes after the command, the trades that they made at once, and the refused sides.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "MassQuoteResult".
 */
export interface MassQuoteResult {
  /**
   * The user's own name of the mass quote, 1 to 64 characters.
   */
  quote_id: string;
  /**
   * The quotes that the command set or left as they were, as they are after it.
   */
  orders: Order[];
  /**
   * The trades that the quotes made on arrival.
   */
  trades: UserTrade[];
  /**
   * The sides that were refused; what they would have replaced stays.
   */
  errors: QuoteError[];
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * The receipt of the command; only if the request asked for it.
   */
  receipt?: Receipt;
}
/**
 * One side of a quote that was refused. The quote that it would have replaced stays as it is.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "QuoteError".
 */
export interface QuoteError {
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * bid to buy, ask to sell.
   */
  side: "ask" | "bid";
  /**
   * Code of the error.
   */
  code: number;
  /**
   * Message of the error.
   */
  message: string;
  /**
   * Reason of the refusal, a stable word for programs.
   */
  reason: string;
  /**
   * What to do.
   */
  detail: string;
}
/**
 * The MMP group after the command; null if it was removed.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "MmpGroupResult".
 */
export interface MmpGroupResult {
  /**
   * The MMP group after the command; null if it was removed.
   */
  group: MmpGroup | null;
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * The receipt of the command; only if the request asked for it.
   */
  receipt?: Receipt;
}
/**
 * An MMP group of a user. `frozen_until_us` is None if it is not frozen, 0 if only a reset ends the freeze.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "MmpGroup".
 */
export interface MmpGroup {
  /**
   * Name of the MMP group, 1 to 64 characters.
   */
  mmp_group: string;
  /**
   * Asset of the options, such as SOL.
   */
  asset: string;
  /**
   * Length of the interval in which fills are summed; it begins with the first fill.
   */
  interval: number;
  /**
   * Length of a freeze; 0: until the group is reset.
   */
  frozen_time: number;
  /**
   * Sum of the fills, bought and sold, that freezes the group; null: not checked.
   */
  quantity_limit: number | null;
  /**
   * Net delta of the fills, in either direction, that freezes the group; null: not checked.
   */
  delta_limit: number | null;
  /**
   * Net vega of the fills for a percentage point, in either direction, that freezes the group; null: not checked.
   */
  vega_limit: number | null;
  /**
   * End of the freeze of the MMP group; 0: until it is reset; null if it is not frozen.
   */
  frozen_until_us: number | null;
}
/**
 * The cash that a limit order would lock, and the margins of one short contract.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "MarginResult".
 */
export interface MarginResult {
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * bid to buy, ask to sell.
   */
  side: "ask" | "bid";
  /**
   * Size of the order.
   */
  amount: number;
  /**
   * Limit price of one contract.
   */
  price: number;
  /**
   * Cash that the order would lock in addition.
   */
  needed: number;
  /**
   * Cash of the user that is not locked.
   */
  available: number;
  /**
   * Cash that one short contract locks; null without an index price.
   */
  initial_margin: number | null;
  /**
   * Cash that one short contract must keep; null without an index price.
   */
  maintenance_margin: number | null;
  /**
   * True if the order would be accepted.
   */
  passes: boolean;
  /**
   * The reason of the refusal; only if the order would be refused.
   */
  reason?: Reason | null;
  /**
   * A sentence about the refusal; only if the order would be refused.
   */
  detail?: string | null;
}
/**
 * The margins and Greeks of an account with other positions, as of command `seq`.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "SimulatedAccount".
 */
export interface SimulatedAccount {
  /**
   * Cash that would not be locked; below zero if it is not enough.
   */
  available: number | null;
  /**
   * Cash that open orders and short positions would lock.
   */
  locked: number | null;
  /**
   * Maintenance margin: with less cash the account would be liquidated.
   */
  maintenance: number | null;
  /**
   * The positions that the account would have, by instrument id.
   */
  positions: SimulatedPosition[];
  /**
   * Greeks of the positions, by asset: the sums of contracts times Greeks. Some may have none.
   */
  greeks: {
    [k: string]: Greeks;
  };
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
}
/**
 * A position in a simulation, with its margins and Greeks. Open asks lock collateral, too.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "SimulatedPosition".
 */
export interface SimulatedPosition {
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Contracts held; negative for a short position.
   */
  quantity: number;
  /**
   * Collateral of the short contracts and open asks.
   */
  locked: number | null;
  /**
   * Maintenance margin of the short contracts.
   */
  maintenance_margin: number | null;
  /**
   * Greeks of the positions, by asset: the sums of contracts times Greeks. Some may have none.
   */
  greeks: Greeks | null;
}
/**
 * The life of one order, oldest step first.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "TimelineResult".
 */
export interface TimelineResult {
  /**
   * The steps in the life of the order, the oldest first.
   */
  steps: (
    | PlacedStep
    | EditedStep
    | FilledStep
    | RepeatedStep
    | RefusedStep
    | CancelledStep
    | TriggerPlacedStep
    | TriggerActivatedStep
    | TriggerEditedStep
    | TriggerEndedStep
  )[];
}
/**
 * The order was placed. `liquidation`: by the exchange, to reduce a position of the user.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "PlacedStep".
 */
export interface PlacedStep {
  /**
   * Kind of the step.
   */
  step: "placed";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
  /**
   * Id of the order: an integer that is never used again, also after a restart.
   */
  order_id: number;
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * bid to buy, ask to sell.
   */
  side: "ask" | "bid";
  /**
   * limit or market, or the type of a trigger order.
   */
  type: "limit" | "market" | "market_limit";
  /**
   * How long the order stays in the book.
   */
  time_in_force: "day" | "fok" | "gtc" | "ioc";
  /**
   * True if the order must rest. If it would trade on arrival, it gets the best price at which it does not: one tick from the best price of the other side.
   */
  post_only: boolean;
  /**
   * Price of one contract; null for a market order.
   */
  price: number | null;
  /**
   * Total size of the order, filled part included.
   */
  size: number;
  /**
   * The user's own key of the order, 1 to 64 characters.
   */
  client_order_id?: string | null;
  /**
   * True if the order may only reduce a position: it is cut down to it, and shrinks with it.
   */
  reduce_only?: boolean;
  /**
   * True if the exchange placed the order to reduce a position of the user.
   */
  liquidation?: boolean;
  /**
   * The user's own name of a group of orders, 1 to 64 characters.
   */
  label?: string | null;
  /**
   * Id of the trigger order that placed this one.
   */
  trigger_order_id?: number | null;
  /**
   * Price in the request, if a post-only order got another one.
   */
  requested_price?: number | null;
  /**
   * Part of an iceberg order that the book shows at once.
   */
  display_amount?: number | null;
  /**
   * How the order is linked to others. Left out for other orders.
   */
  link?: ("one_cancels_other" | "one_triggers_one_cancels_other" | "one_triggers_other") | null;
  /**
   * The orders that were linked together, this one or the one that it follows from included; the first is the primary. Left out for other orders.
   */
  linked_order_ids?: number[] | null;
}
/**
 * The order was edited. Without `kept_place` it went to the back of the queue.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "EditedStep".
 */
export interface EditedStep {
  /**
   * Kind of the step.
   */
  step: "edited";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
  /**
   * Price after the edit.
   */
  price: number;
  /**
   * Total size after the edit, filled part included.
   */
  size: number;
  /**
   * Size that has not traded.
   */
  remaining: number;
  /**
   * True if the order kept its place in the queue.
   */
  kept_place: boolean;
  /**
   * Price before the edit.
   */
  previous_price: number;
  /**
   * Size that had not traded before the edit.
   */
  previous_remaining: number;
  /**
   * Price in the request, if a post-only order got another one.
   */
  requested_price?: number | null;
  /**
   * Why the exchange made the order smaller. Left out if the user edited it.
   */
  cause?: ("linked_order" | "reduce_only") | null;
}
/**
 * The order traded. `refilled_milli`: an iceberg order shows so much again, at the back of the queue.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "FilledStep".
 */
export interface FilledStep {
  /**
   * Kind of the step.
   */
  step: "filled";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
  /**
   * Id of the trade, an integer.
   */
  trade_id: number;
  /**
   * Price of one contract.
   */
  price: number;
  /**
   * Size of this fill.
   */
  size: number;
  /**
   * Size that has not traded.
   */
  remaining: number;
  /**
   * maker: the user's order rested in the book. taker: it traded on arrival.
   */
  liquidity: "maker" | "taker";
  /**
   * Fee that the user paid.
   */
  fee: number;
  /**
   * Part of an iceberg order that the book shows again after the fill, at the back of the queue.
   */
  refilled?: number | null;
}
/**
 * The same order was sent again under its client_order_id. Nothing changed.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "RepeatedStep".
 */
export interface RepeatedStep {
  /**
   * Kind of the step.
   */
  step: "repeated";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
}
/**
 * An edit or a cancellation was refused. Nothing changed.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "RefusedStep".
 */
export interface RefusedStep {
  /**
   * Kind of the step.
   */
  step: "refused";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
  /**
   * Stable word for the reason.
   */
  reason: Reason;
}
/**
 * The order, or the rest of it, was cancelled.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "CancelledStep".
 */
export interface CancelledStep {
  /**
   * Kind of the step.
   */
  step: "cancelled";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
  /**
   * Size that has not traded.
   */
  remaining: number;
  /**
   * The reason of the cancellation.
   */
  reason:
    | "admin"
    | "cancel_on_disconnect"
    | "day_end"
    | "fok_unfilled"
    | "instrument_expired"
    | "insufficient_balance"
    | "ioc_remainder"
    | "linked_order"
    | "liquidation"
    | "market_remainder"
    | "mmp_removed"
    | "mmp_trigger"
    | "nothing_to_reduce"
    | "self_trade_prevention"
    | "user_request";
  /**
   * For self_trade_prevention: the user's own order that would have traded; for linked_order: the linked order.
   */
  by_order_id?: number | null;
  /**
   * The fill of the linked order that cancelled this one. Left out if no fill did.
   */
  by_trade_id?: number | null;
}
/**
 * The trigger order was placed. `trigger_reference_price_micros` is the price that it waits for, as it was then.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "TriggerPlacedStep".
 */
export interface TriggerPlacedStep {
  /**
   * Kind of the step.
   */
  step: "trigger_placed";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
  /**
   * Id of the order: an integer that is never used again, also after a restart.
   */
  order_id: number;
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * bid to buy, ask to sell.
   */
  side: "ask" | "bid";
  /**
   * limit or market, or the type of a trigger order.
   */
  type:
    | ("stop_limit" | "stop_market" | "take_limit" | "take_market" | "trailing_stop")
    | ("limit" | "market" | "market_limit");
  /**
   * Price that a trigger order waits for: that of the index, the mark, or the last trade.
   */
  trigger: ("index_price" | "last_price" | "mark_price") | null;
  /**
   * Price at which a trigger order triggers; none for a trailing stop.
   */
  trigger_price: number | null;
  /**
   * Distance from the best price since the placing at which a trailing stop triggers.
   */
  trigger_offset: number | null;
  /**
   * The price that the order waits for, as it was when the order was placed.
   */
  trigger_reference_price: number | null;
  /**
   * How long the order stays in the book.
   */
  time_in_force: "day" | "fok" | "gtc" | "ioc";
  /**
   * True if the order must rest. If it would trade on arrival, it gets the best price at which it does not: one tick from the best price of the other side.
   */
  post_only: boolean;
  /**
   * Price of the order to place; null for a market order.
   */
  price: number | null;
  /**
   * Size of the order to place.
   */
  size: number;
  /**
   * The user's own key of the order, 1 to 64 characters.
   */
  client_order_id?: string | null;
  /**
   * True if the order may only reduce a position: it is cut down to it, and shrinks with it.
   */
  reduce_only?: boolean;
  /**
   * The user's own name of a group of orders, 1 to 64 characters.
   */
  label?: string | null;
  /**
   * Part of an iceberg order that the book shows at once.
   */
  display_amount?: number | null;
  /**
   * How the order is linked to others. Left out for other orders.
   */
  link?: ("one_cancels_other" | "one_triggers_one_cancels_other" | "one_triggers_other") | null;
  /**
   * The orders that were linked together, this one or the one that it follows from included; the first is the primary. Left out for other orders.
   */
  linked_order_ids?: number[] | null;
  /**
   * The order whose fills this one waits for. Left out if it waits for none.
   */
  primary_order_id?: number | null;
  /**
   * The waiting order of which a fill released this part. Left out for other orders.
   */
  part_of?: number | null;
}
/**
 * Fills of its primary, the last one at `shown_price_micros`, let the trigger order wait for its price.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "TriggerActivatedStep".
 */
export interface TriggerActivatedStep {
  /**
   * Kind of the step.
   */
  step: "trigger_activated";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
  /**
   * Price of the last fill of the primary.
   */
  shown_price: number;
  /**
   * Price that triggers the order from now on.
   */
  trigger_price: number;
  /**
   * The price that the order waits for, as it was when the order was placed.
   */
  trigger_reference_price: number | null;
}
/**
 * The untriggered order has new terms. `cause`: the exchange made it smaller.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "TriggerEditedStep".
 */
export interface TriggerEditedStep {
  /**
   * Kind of the step.
   */
  step: "trigger_edited";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
  /**
   * Price at which a trigger order triggers; none for a trailing stop.
   */
  trigger_price: number | null;
  /**
   * Distance from the best price since the placing at which a trailing stop triggers.
   */
  trigger_offset: number | null;
  /**
   * Price of the order to place; null for a market order.
   */
  price: number | null;
  /**
   * Size of the order to place.
   */
  size: number;
  /**
   * Kind of the command that moved the cash, such as place_order, set_index_price or end_day.
   */
  cause?: ("linked_order" | "reduce_only") | null;
}
/**
 * The trigger order placed an order (`placed_order_id`), or that was refused, or the user or a rule cancelled it.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "TriggerEndedStep".
 */
export interface TriggerEndedStep {
  /**
   * Kind of the step.
   */
  step: "trigger_ended";
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Kind of the command that caused the step. Left out if another user's command caused a fill.
   */
  command?: string | null;
  /**
   * The same in words.
   */
  text?: string;
  /**
   * triggered, rejected or cancelled.
   */
  status: "cancelled" | "rejected" | "triggered";
  /**
   * The price that met the trigger order.
   */
  shown_price?: number | null;
  /**
   * Id of the order that the trigger order placed.
   */
  placed_order_id?: number | null;
  /**
   * The reason why the order that a trigger order placed was refused.
   */
  reject_reason?: Reason | null;
  /**
   * The reason of the cancellation; only if the order was cancelled.
   */
  reason?:
    | (
        | "admin"
        | "cancel_on_disconnect"
        | "day_end"
        | "fok_unfilled"
        | "instrument_expired"
        | "insufficient_balance"
        | "ioc_remainder"
        | "linked_order"
        | "liquidation"
        | "market_remainder"
        | "mmp_removed"
        | "mmp_trigger"
        | "nothing_to_reduce"
        | "self_trade_prevention"
        | "user_request"
      )
    | null;
  /**
   * The linked order that cancelled this one. Left out for other ends.
   */
  by_order_id?: number | null;
  /**
   * The fill of the linked order that cancelled this one. Left out if no fill did.
   */
  by_trade_id?: number | null;
}
/**
 * The settlement of one position of a user. The fee is not part of the payout.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "UserSettlement".
 */
export interface UserSettlement {
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Contracts held at expiry; negative for a short position.
   */
  quantity: number;
  /**
   * Settlement price of the series; null until it is settled.
   */
  delivery_price: number;
  /**
   * Cash that the user received; negative: cash that the user paid.
   */
  payout: number;
  /**
   * Delivery fee that the user paid.
   */
  fee: number;
}
/**
 * The positions of a user as of command `seq`, and their Greeks by asset.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "PositionsResult".
 */
export interface PositionsResult {
  /**
   * The positions of the user.
   */
  positions: PositionDetails[];
  /**
   * Greeks of the positions, by asset: the sums of contracts times Greeks. Some may have none.
   */
  greeks: {
    [k: string]: Greeks;
  };
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
}
/**
 * A position with its margins, profits and Greeks. The margins are those of its short contracts alone.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "PositionDetails".
 */
export interface PositionDetails {
  /**
   * Id of the instrument, such as SOL_USDC-28FEB26-150-C.
   */
  instrument_id: string;
  /**
   * Contracts held; negative for a short position.
   */
  quantity: number;
  /**
   * Average price of the fills, rounded to the nearest micro; null before the first fill.
   */
  average_price: number | null;
  /**
   * Cash that open orders and short positions lock.
   */
  locked: number;
  /**
   * Mark price; null if the asset has no index price.
   */
  mark: number | null;
  /**
   * Index price that the margins follow; null without one.
   */
  index: number | null;
  /**
   * Initial margin of the short contracts.
   */
  initial_margin: number;
  /**
   * Maintenance margin of the short contracts.
   */
  maintenance_margin: number;
  /**
   * Profit if the position were closed at its value now; null if it is beyond 2^53 - 1.
   */
  unrealised_pnl: number | null;
  /**
   * Realised profit since the position was last flat, fees deducted; null beyond 2^53 - 1.
   */
  realised_pnl: number | null;
  /**
   * Realised profit plus unrealised profit; null if it is beyond 2^53 - 1.
   */
  total_pnl: number | null;
  /**
   * Greeks of the position: contracts times the Greeks of the ticker; null without.
   */
  greeks: Greeks | null;
}
/**
 * A page of the transaction log as of command `seq`, the newest entry first.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "TransactionsResult".
 */
export interface TransactionsResult {
  /**
   * Entries of the log, the newest first.
   */
  transactions: Transaction[];
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
}
/**
 * A movement of the cash of an account, by one event of command `seq`, and the balance after it.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Transaction".
 */
export interface Transaction {
  /**
   * Id of the entry; later entries have larger ones.
   */
  id: number;
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Why the cash moved.
   */
  type:
    | "debt"
    | "deposit"
    | "fee"
    | "liquidation"
    | "liquidation_fee"
    | "opening"
    | "reset"
    | "settlement"
    | "shared_loss"
    | "shortfall"
    | "trade"
    | "withdrawal";
  /**
   * Kind of the command that moved the cash, such as place_order, set_index_price or end_day.
   */
  cause: string;
  /**
   * Id of the instrument; null for a movement that is about none.
   */
  instrument_id: string | null;
  /**
   * Id of the trade; null for a movement that is no trade.
   */
  trade_id: number | null;
  /**
   * Cash that the user received, the fee deducted; negative: cash that the user paid.
   */
  change: number;
  /**
   * Fee that is part of the change.
   */
  fee: number;
  /**
   * Cash of the user after the movement, locked cash included.
   */
  balance: number;
}
/**
 * The profit of an account at moments that are evenly spread in time, oldest first, as of command `seq`.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "ProfitHistory".
 */
export interface ProfitHistory {
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * The account at each moment, oldest first.
   */
  points: ProfitPoint[];
  /**
   * Answered as right after this command.
   */
  seq: number;
}
/**
 * An account after command `seq`. The parts of the profit count from the first point.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "ProfitPoint".
 */
export interface ProfitPoint {
  /**
   * The moment is right after this command.
   */
  seq: number;
  /**
   * Exchange time of the command.
   */
  ts_us: number;
  /**
   * Cash and value of the positions, as in get_account.
   */
  equity: number | null;
  /**
   * The sum of trading, settlement, fees and liquidation.
   */
  profit: number | null;
  /**
   * Cash from trades before fees, and the change of the value of the open positions.
   */
  trading: number | null;
  /**
   * Cash from settlements before fees, less shares of losses.
   */
  settlement: number | null;
  /**
   * Fees of trades and settlements; below zero if they were paid.
   */
  fees: number | null;
  /**
   * Cash from liquidations before fees, and payments to and from the insurance.
   */
  liquidation: number | null;
  /**
   * Deposits, withdrawals and starting cash, which are no profit.
   */
  payments: number | null;
  /**
   * Cash that open orders and short positions lock.
   */
  locked: number;
  /**
   * Maintenance margin: an account with less cash is liquidated.
   */
  maintenance: number;
  /**
   * Greeks of the positions by asset.
   */
  greeks: {
    [k: string]: Greeks;
  };
}
/**
 * An account after command `to_seq` in the real history and in the edited one. Both are the same up to `from_seq`.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "WhatIfResult".
 */
export interface WhatIfResult {
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * Both histories are the same up to this command.
   */
  from_seq: number;
  /**
   * The figures are those right after this command.
   */
  to_seq: number;
  /**
   * total_pnl of get_account; each history with its own marks.
   */
  profit: RealAndEdited;
  /**
   * Cash of the account.
   */
  cash: RealAndEdited;
  /**
   * Payouts of settlements less their fees, after from_seq.
   */
  settled: RealAndEdited;
  /**
   * What the insurance has paid for the account.
   */
  shortfall: RealAndEdited;
  /**
   * Number of fills after from_seq.
   */
  fills: RealAndEdited;
  /**
   * The positions that differ.
   */
  positions: {
    [k: string]: RealAndEdited;
  };
  /**
   * Number of commands that were compared.
   */
  commands: number;
  /**
   * Commands that were left out.
   */
  dropped: number;
  /**
   * Index prices with another price.
   */
  replaced: number;
  /**
   * Other commands with another outcome.
   */
  changed: number;
  /**
   * The first command that was left out, replaced or changed; null if none was.
   */
  first_seq: number | null;
}
/**
 * A figure in the real history and in the edited one.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "RealAndEdited".
 */
export interface RealAndEdited {
  /**
   * As it was.
   */
  real: number;
  /**
   * As it would be.
   */
  edited: number;
}
/**
 * The balance of a user, the positions, their value and the limits.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Account".
 */
export interface Account {
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * Cash that is not locked. Below zero if the index price moved against short positions.
   */
  available: number;
  /**
   * Cash that open orders and short positions lock.
   */
  locked: number;
  /**
   * Maintenance margin: an account with less cash is liquidated.
   */
  maintenance: number;
  /**
   * Sum that the insurance paid for the account and that it has not repaid.
   */
  shortfall: number;
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
  /**
   * The positions of the user.
   */
  positions: Position[];
  /**
   * Realised profit plus unrealised profit; null if it is beyond 2^53 - 1.
   */
  total_pnl: number | null;
  /**
   * Realised profit of all time, fees and settlements included.
   */
  realised_pnl: number | null;
  /**
   * Sum of the unrealised profits of the positions; null beyond 2^53 - 1.
   */
  unrealised_pnl: number | null;
  /**
   * Cash plus the value of the positions; null if it is beyond 2^53 - 1.
   */
  equity: number | null;
  /**
   * True if the user may only read and cancel.
   */
  suspended: boolean;
  /**
   * The limits that hold for the user: the user's own, else those of the rules.
   */
  limits: Limits;
  /**
   * Greeks of the positions, by asset: the sums of contracts times Greeks. Some may have none.
   */
  greeks: {
    [k: string]: Greeks;
  };
  /**
   * Currency of the account: USDC.
   */
  currency: string;
  /**
   * Decimal places of amounts of cash: 6, because they are micros.
   */
  decimals: number;
}
/**
 * The limits that hold for one user.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Limits".
 */
export interface Limits {
  /**
   * Maximum number of open orders of the user.
   */
  open_orders_max: number;
  /**
   * Maximum position of the user in one instrument, open orders included; 0: no limit.
   */
  position_max: number;
}
/**
 * The command that recorded the change.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "SeqResult".
 */
export interface SeqResult {
  /**
   * Sequence number of the command.
   */
  seq: number;
  /**
   * The receipt of the command; only if the request asked for it.
   */
  receipt?: Receipt;
}
/**
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "InstrumentResult".
 */
export interface InstrumentResult {
  /**
   * The instrument after the command.
   */
  instrument: Instrument;
  /**
   * Sequence number of the command.
   */
  seq: number;
}
/**
 * The instrument that was named; or, for an asset or a series, the `count` of instruments that changed.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "PauseResult".
 */
export interface PauseResult {
  /**
   * The instrument after the command; only with an instrument_id.
   */
  instrument?: Instrument;
  /**
   * Number of instruments that changed; only without an instrument_id.
   */
  count?: number;
  /**
   * Sequence number of the command.
   */
  seq: number;
}
/**
 * `halted`: only reading and cancelling are possible.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "HaltResult".
 */
export interface HaltResult {
  /**
   * True while the exchange is halted: only reading and cancelling are possible.
   */
  halted: boolean;
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
}
/**
 * Exchange time, and the jump of the system clock that was accepted; 0 if it had not jumped.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "ConfirmedTime".
 */
export interface ConfirmedTime {
  /**
   * Exchange time.
   */
  ts_us: number;
  /**
   * The accepted jump of the system clock, negative if back; 0 if it had not jumped.
   */
  jump_us: number;
}
/**
 * The figures of the running exchange, by the names of its metrics with their labels.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "MetricsResult".
 */
export interface MetricsResult {
  /**
   * Exchange time.
   */
  ts_us: number;
  /**
   * Values by the names of the metrics with their labels; null: infinite.
   */
  metrics: {
    [k: string]: number | null;
  };
}
/**
 * The effects that a change of rules would have: the accounts that it would liquidate, in that order.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "RulesDryRunResult".
 */
export interface RulesDryRunResult {
  /**
   * The rules of the exchange.
   */
  rules: Rules;
  /**
   * Version of the rules.
   */
  rules_version: number;
  /**
   * The accounts that the new rules would liquidate, in that order.
   */
  liquidated: string[];
  /**
   * Sequence number of the last command that is included.
   */
  seq: number;
  /**
   * Always true.
   */
  dry_run: boolean;
}
/**
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "SuspensionResult".
 */
export interface SuspensionResult {
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * True if the user may only read and cancel.
   */
  suspended: boolean;
  /**
   * Sequence number of the command.
   */
  seq: number;
}
/**
 * The user's own limits. Without one, the limit of the rules applies.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "UserLimitsResult".
 */
export interface UserLimitsResult {
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * The user's own limit of open orders; null: as in the rules.
   */
  open_orders_max: number | null;
  /**
   * The user's own limit of positions; 0: no limit; null: as in the rules.
   */
  position_max: number | null;
  /**
   * Sequence number of the command.
   */
  seq: number;
}
/**
 * Accounts in the order in which they were opened, as of command `seq`.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "AccountsResult".
 */
export interface AccountsResult {
  /**
   * Accounts in the order in which they were opened.
   */
  accounts: AccountSummary[];
  /**
   * Sequence number of the command.
   */
  seq: number;
}
/**
 * The cash of a user, whether the user is suspended, and the number of open orders.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "AccountSummary".
 */
export interface AccountSummary {
  /**
   * Id of the user.
   */
  user_id: string;
  /**
   * Cash that is not locked. Below zero if the index price moved against short positions.
   */
  available: number;
  /**
   * Cash that open orders and short positions lock.
   */
  locked: number;
  /**
   * Maintenance margin: an account with less cash is liquidated.
   */
  maintenance: number;
  /**
   * Sum that the insurance paid for the account and that it has not repaid.
   */
  shortfall: number;
  /**
   * True if the user may only read and cancel.
   */
  suspended: boolean;
  /**
   * Number of open orders of the user.
   */
  open_orders: number;
}
/**
 * The fees of each side of a trade on the premium, rounded down.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "Fees".
 */
export interface Fees1 {
  /**
   * Fee of the maker, as a share of the premium (price times size).
   */
  maker_premium_ppm?: number;
  /**
   * Fee of the taker, as a share of the premium (price times size).
   */
  taker_premium_ppm?: number;
}
/**
 * Fees as a share of the index price, each with a maximum. All are rounded down.
 *
 * This interface was referenced by `Methods`'s JSON-Schema
 * via the `definition` "IndexFees".
 */
export interface IndexFees1 {
  /**
   * Fee of the maker, as a share of the index price times size.
   */
  maker_ppm?: number;
  /**
   * Fee of the taker, as a share of the index price times size.
   */
  taker_ppm?: number;
  /**
   * Maximum of the fee, as a share of the premium.
   */
  cap_ppm?: number;
  /**
   * Fee at settlement of the side that is paid, as a share of the delivery price.
   */
  delivery_ppm?: number;
  /**
   * Maximum of the delivery fee, as a share of the payout.
   */
  delivery_cap_ppm?: number;
  /**
   * The delivery fee of options that do not expire on a Friday; left out: `delivery_ppm`.
   */
  daily_delivery_ppm?: number;
  /**
   * Fee of a liquidated account for the insurance, as a share of the index price times size; left out: none.
   */
  liquidation_ppm?: number;
}
