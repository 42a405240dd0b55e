-- The only definition of the SQL views. Names, order and meaning of the columns are stable; docs/sql.md describes them.
--
-- A journal gets these views when it is opened for writing. Views cost the running exchange nothing: they only read.
-- `utc_iso(us)` is a macro of this file: journal/views.py replaces it by an expression that every SQLite knows, so that
-- the views work in any SQLite shell. It is the time in UTC in ISO 8601 with microseconds, which sorts as text.

-- One row for each trade.
CREATE VIEW trades AS
SELECT e.payload ->> '$.trade_id' AS trade_id, e.seq, c.ts_us,
       utc_iso(c.ts_us) AS time,
       e.instrument_id,
       e.payload ->> '$.price_micros' AS price_micros,
       e.payload ->> '$.size_milli' AS size_milli,
       (e.payload ->> '$.price_micros') * (e.payload ->> '$.size_milli') / 1000 AS cost_micros,
       e.payload ->> '$.taker_side' AS taker_side,
       e.payload ->> '$.taker_user_id' AS taker_user_id, e.payload ->> '$.taker_order_id' AS taker_order_id,
       e.payload ->> '$.taker_fee_micros' AS taker_fee_micros,
       e.payload ->> '$.maker_user_id' AS maker_user_id, e.payload ->> '$.maker_order_id' AS maker_order_id,
       e.payload ->> '$.maker_fee_micros' AS maker_fee_micros
FROM events e JOIN commands c USING (seq)
WHERE e.kind = 'traded';

-- Two rows for each trade, one for each side.
CREATE VIEW fills AS
SELECT trade_id, seq, ts_us, time, taker_user_id AS user_id, taker_order_id AS order_id, instrument_id,
       taker_side AS side, 'taker' AS liquidity, price_micros, size_milli, cost_micros,
       taker_fee_micros AS fee_micros, maker_user_id AS counterparty_user_id
FROM trades
UNION ALL
SELECT trade_id, seq, ts_us, time, maker_user_id, maker_order_id, instrument_id,
       iif(taker_side = 'bid', 'ask', 'bid'), 'maker', price_micros, size_milli, cost_micros,
       maker_fee_micros, taker_user_id
FROM trades;

-- Every change of an order, in the order of (seq, n). `size_milli` is the traded size in a fill, otherwise the size of
-- the order. `remaining_milli` is the unfilled size after the change, in a cancellation the cancelled size.
CREATE VIEW order_history AS
WITH changes (order_id, seq, n, change, user_id, instrument_id, side, price_micros, size_milli, remaining_milli,
              trade_id, liquidity, reason) AS (
    SELECT payload ->> '$.order_id', seq, n, 'placed', user_id, instrument_id, payload ->> '$.side',
           payload ->> '$.price_micros', payload ->> '$.size_milli', payload ->> '$.size_milli', NULL, NULL, NULL
    FROM events WHERE kind = 'order_accepted'
    UNION ALL
    SELECT payload ->> '$.order_id', seq, n, 'edited', user_id, instrument_id, payload ->> '$.side',
           payload ->> '$.price_micros', payload ->> '$.size_milli', payload ->> '$.remaining_milli', NULL, NULL, NULL
    FROM events WHERE kind = 'order_edited'
    UNION ALL
    SELECT payload ->> '$.maker_order_id', seq, n, 'filled', payload ->> '$.maker_user_id', instrument_id,
           iif(payload ->> '$.taker_side' = 'bid', 'ask', 'bid'), payload ->> '$.price_micros',
           payload ->> '$.size_milli', payload ->> '$.maker_remaining_milli', payload ->> '$.trade_id', 'maker', NULL
    FROM events WHERE kind = 'traded'
    UNION ALL
    SELECT payload ->> '$.taker_order_id', seq, n, 'filled', payload ->> '$.taker_user_id', instrument_id,
           payload ->> '$.taker_side', payload ->> '$.price_micros',
           payload ->> '$.size_milli', payload ->> '$.taker_remaining_milli', payload ->> '$.trade_id', 'taker', NULL
    FROM events WHERE kind = 'traded'
    UNION ALL
    SELECT payload ->> '$.order_id', seq, n, 'cancelled', user_id, instrument_id, payload ->> '$.side',
           payload ->> '$.price_micros', payload ->> '$.remaining_milli', payload ->> '$.remaining_milli',
           NULL, NULL, payload ->> '$.reason'
    FROM events WHERE kind = 'order_cancelled'
    UNION ALL
    SELECT payload ->> '$.order_id', seq, n, 'repeated', user_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM events WHERE kind = 'order_repeated'
), flagged AS MATERIALIZED (
    SELECT payload ->> '$.order_id' AS flagged_id, payload ->> '$.reduce_only' AS reduce_only,
           payload ->> '$.liquidation' AS liquidation
    FROM events WHERE kind = 'order_accepted' AND (reduce_only OR liquidation)
)
SELECT order_id, seq, n, c.ts_us,
       utc_iso(c.ts_us) AS time,
       change, changes.user_id, changes.instrument_id, side, price_micros, size_milli, remaining_milli,
       trade_id, liquidity, reason, coalesce(reduce_only, 0) AS reduce_only, coalesce(liquidation, 0) AS liquidation
FROM changes JOIN commands c USING (seq) LEFT JOIN flagged ON flagged_id = order_id;

-- Every order as it is after the last command. The exchange placed the orders with `liquidation`.
-- `average_price_micros` is rounded to the nearest micro, half up. Quotient and remainder are computed apart because
-- 2000 times the largest cost does not fit into 64 bits.
CREATE VIEW orders AS
WITH placed AS MATERIALIZED (
    SELECT payload ->> '$.order_id' AS order_id, user_id, instrument_id,
           payload ->> '$.client_order_id' AS client_order_id, payload ->> '$.side' AS side,
           payload ->> '$.type' AS type, payload ->> '$.time_in_force' AS time_in_force,
           payload ->> '$.post_only' AS post_only, payload ->> '$.price_micros' AS price_micros,
           payload ->> '$.size_milli' AS size_milli, seq,
           coalesce(payload ->> '$.reduce_only', 0) AS reduce_only,
           coalesce(payload ->> '$.liquidation', 0) AS liquidation
    FROM events WHERE kind = 'order_accepted'
), edited AS MATERIALIZED (
    SELECT payload ->> '$.order_id' AS order_id, max(seq) AS seq, payload ->> '$.price_micros' AS price_micros,
           payload ->> '$.size_milli' AS size_milli
    FROM events WHERE kind = 'order_edited' GROUP BY payload ->> '$.order_id'
), sides AS (
    SELECT payload ->> '$.maker_order_id' AS order_id, seq, payload ->> '$.price_micros' AS price_micros,
           payload ->> '$.size_milli' AS size_milli, payload ->> '$.maker_fee_micros' AS fee_micros
    FROM events WHERE kind = 'traded'
    UNION ALL
    SELECT payload ->> '$.taker_order_id', seq, payload ->> '$.price_micros', payload ->> '$.size_milli',
           payload ->> '$.taker_fee_micros'
    FROM events WHERE kind = 'traded'
), filled AS MATERIALIZED (
    SELECT order_id, max(seq) AS seq, sum(size_milli) AS filled_milli,
           sum(price_micros * size_milli / 1000) AS cost_micros, sum(fee_micros) AS fee_micros
    FROM sides GROUP BY order_id
), cancelled AS MATERIALIZED (
    SELECT payload ->> '$.order_id' AS order_id, seq, payload ->> '$.reason' AS cancel_reason
    FROM events WHERE kind = 'order_cancelled'
), latest AS (
    SELECT placed.order_id, placed.user_id, placed.client_order_id, placed.instrument_id, placed.side, placed.type,
           placed.time_in_force, placed.post_only,
           coalesce(edited.price_micros, placed.price_micros) AS price_micros,
           coalesce(edited.size_milli, placed.size_milli) AS size_milli,
           coalesce(filled_milli, 0) AS filled_milli, coalesce(cost_micros, 0) AS cost_micros,
           coalesce(fee_micros, 0) AS fee_micros, cancel_reason, placed.seq AS placed_seq,
           max(placed.seq, coalesce(edited.seq, 0), coalesce(filled.seq, 0), coalesce(cancelled.seq, 0)) AS updated_seq,
           reduce_only, liquidation
    FROM placed LEFT JOIN edited USING (order_id) LEFT JOIN filled USING (order_id) LEFT JOIN cancelled USING (order_id)
)
SELECT order_id, latest.user_id, client_order_id, latest.instrument_id, side, type, time_in_force, post_only,
       price_micros, size_milli, filled_milli, size_milli - filled_milli AS remaining_milli,
       1000 * (cost_micros / filled_milli)
           + (2000 * (cost_micros % filled_milli) + filled_milli) / (2 * filled_milli) AS average_price_micros,
       fee_micros,
       CASE WHEN cancel_reason IS NOT NULL THEN 'cancelled' WHEN filled_milli = 0 THEN 'open'
            WHEN filled_milli < size_milli THEN 'partially_filled' ELSE 'filled' END AS status,
       cancel_reason, placed_seq, updated_seq, p.ts_us AS created_us, u.ts_us AS updated_us,
       reduce_only, liquidation
FROM latest JOIN commands p ON p.seq = placed_seq JOIN commands u ON u.seq = updated_seq;

-- The orders that are still in a book.
CREATE VIEW open_orders AS
SELECT * FROM orders WHERE status IN ('open', 'partially_filled');

-- Every command with its fields in columns. `outcome` is done, repeated (the same order was sent again) or refused (for
-- `reason`); it is NULL until the events of the command are recorded, a moment later. `order_id` is the order that the
-- command placed or named; it is NULL if the command can cancel several orders.
CREATE VIEW commands_decoded AS
SELECT c.seq, c.ts_us,
       utc_iso(c.ts_us) AS time,
       c.kind, c.user_id, c.instrument_id,
       iif(c.kind IN ('place_order', 'edit_order', 'cancel_order'),
           coalesce(c.payload ->> '$.order_id', e.order_id), NULL) AS order_id,
       c.payload ->> '$.client_order_id' AS client_order_id,
       c.payload ->> '$.side' AS side, c.payload ->> '$.type' AS type,
       c.payload ->> '$.time_in_force' AS time_in_force, c.payload ->> '$.post_only' AS post_only,
       c.payload ->> '$.price_micros' AS price_micros, c.payload ->> '$.size_milli' AS size_milli,
       coalesce(c.payload ->> '$.amount_micros', c.payload ->> '$.cash_micros') AS amount_micros,
       CASE e.kind WHEN 'refused' THEN 'refused' WHEN 'order_repeated' THEN 'repeated'
            ELSE iif(e.kind IS NULL, NULL, 'done') END AS outcome,
       iif(e.kind = 'refused', e.payload ->> '$.reason', NULL) AS reason,
       c.payload ->> '$.asset' AS asset, c.payload ->> '$.expiration_s' AS expiration_s,
       c.payload ->> '$.reduce_only' AS reduce_only, c.payload ->> '$.forced' AS forced,
       c.payload ->> '$.halted' AS halted, c.payload ->> '$.suspended' AS suspended,
       c.payload ->> '$.open_orders_max' AS open_orders_max,
       c.payload ->> '$.position_max_milli' AS position_max_milli, c.payload -> '$.rules' AS rules
FROM commands c LEFT JOIN events e ON e.seq = c.seq AND e.n = 0;

-- The balance of each account after the last command. `account_opened` counts because an account without starting cash
-- has no `balance_changed` event at first. `shortfall_micros` is the sum that the insurance has paid for the account.
CREATE VIEW balances AS
WITH latest AS MATERIALIZED (
    SELECT user_id, max(iif(kind = 'shortfall_covered', NULL, seq * 1000000 + n)) AS place,
           max(iif(kind = 'shortfall_covered', payload ->> '$.shortfall_micros', 0)) AS shortfall_micros
    FROM events WHERE kind IN ('account_opened', 'balance_changed', 'shortfall_covered') GROUP BY user_id
), balances_now AS (
    SELECT latest.user_id, coalesce(payload ->> '$.cash_micros', 0) AS cash_micros,
           coalesce(payload ->> '$.locked_micros', 0) AS locked_micros, seq,
           coalesce(payload ->> '$.maintenance_micros', 0) AS maintenance_micros, shortfall_micros
    FROM latest JOIN events ON seq = place / 1000000 AND n = place % 1000000
)
SELECT user_id, cash_micros, locked_micros, cash_micros - locked_micros AS available_micros, seq AS as_of_seq,
       maintenance_micros, shortfall_micros
FROM balances_now;

-- Every change of an account's cash, locks or maintenance margin, with the balance after it. The changes of the first
-- row of an account are NULL if the opening of the account is in an archive that is missing.
-- `reason` is the first of shortfall, liquidation, settlement, trade and fee that the command caused for this user;
-- otherwise opening, deposit, withdrawal, order (the user's own orders changed the locks) or margin (the index, a
-- settlement or the rules changed the locks). `cash_flows` lists the parts of a change of cash.
CREATE VIEW ledger AS
WITH balances_then AS (
    SELECT seq, n, kind, user_id, coalesce(payload ->> '$.cash_micros', 0) AS cash_micros,
           coalesce(payload ->> '$.locked_micros', 0) AS locked_micros,
           coalesce(payload ->> '$.maintenance_micros', 0) AS maintenance_micros
    FROM events WHERE kind IN ('account_opened', 'balance_changed')
), changes AS (
    SELECT *, cash_micros - lag(cash_micros) OVER whole AS cash_change_micros,
           locked_micros - lag(locked_micros) OVER whole AS locked_change_micros
    FROM balances_then WINDOW whole AS (PARTITION BY user_id ORDER BY seq, n)
), events_told AS MATERIALIZED (
    SELECT seq, CASE kind WHEN 'shortfall_covered' THEN 1 WHEN 'liquidation_started' THEN 2
                          WHEN 'position_settled' THEN 3 WHEN 'traded' THEN 4 ELSE 6 END AS rank,
           coalesce(user_id, payload ->> '$.taker_user_id') AS user_id, payload ->> '$.maker_user_id' AS maker_user_id
    FROM events
    WHERE kind IN ('shortfall_covered', 'liquidation_started', 'position_settled', 'traded', 'order_cancelled')
), happened (seq, user_id, rank) AS (
    SELECT seq, user_id, rank FROM events_told
    UNION ALL
    SELECT seq, maker_user_id, rank FROM events_told WHERE maker_user_id IS NOT NULL
), told AS MATERIALIZED (
    SELECT seq, user_id, min(rank) AS rank FROM happened GROUP BY seq, user_id
)
SELECT changes.seq, c.ts_us,
       utc_iso(c.ts_us) AS time,
       changes.user_id, c.kind AS cause, c.user_id AS cause_user_id, c.instrument_id,
       cash_change_micros, locked_change_micros, cash_micros, locked_micros,
       cash_micros - locked_micros AS available_micros,
       CASE WHEN changes.user_id = 'fees' AND c.user_id IS NOT 'fees' THEN 'fee'
            WHEN changes.user_id = 'insurance' AND c.user_id IS NOT 'insurance' THEN 'shortfall'
            WHEN rank = 1 THEN 'shortfall' WHEN rank = 2 THEN 'liquidation' WHEN rank = 3 THEN 'settlement'
            WHEN rank = 4 THEN 'trade'
            WHEN c.kind = 'open_account' THEN 'opening' WHEN c.kind = 'deposit' THEN 'deposit'
            WHEN c.kind = 'withdraw' THEN 'withdrawal'
            WHEN rank IS NULL AND c.kind IN ('set_index_price', 'end_day', 'settle_series', 'change_rules')
                THEN 'margin'
            ELSE 'order' END AS reason, maintenance_micros
FROM changes JOIN commands c USING (seq) LEFT JOIN told ON told.seq = changes.seq AND told.user_id = changes.user_id
WHERE changes.kind = 'balance_changed';

-- Every movement of cash with its reason: opening, deposit, withdrawal, trade, liquidation (the account whose short was
-- bought back), fee, settlement or shortfall. A fill or a settlement has one row for each reason and user.
CREATE VIEW cash_flows AS
WITH moves AS MATERIALIZED (
    SELECT seq, n, kind, user_id, instrument_id, payload FROM events
    WHERE kind IN ('account_opened', 'deposited', 'withdrawn', 'traded', 'position_settled', 'shortfall_covered')
       OR (kind = 'order_accepted' AND payload ->> '$.liquidation' = 1)
), liquidating AS MATERIALIZED (
    SELECT payload ->> '$.order_id' AS order_id FROM moves WHERE kind = 'order_accepted'
), filled AS MATERIALIZED (
    SELECT seq, n, instrument_id, payload ->> '$.taker_side' AS taker_side,
           (payload ->> '$.price_micros') * (payload ->> '$.size_milli') / 1000 AS cost_micros,
           payload ->> '$.taker_order_id' AS taker_order_id, payload ->> '$.taker_user_id' AS taker_user_id,
           payload ->> '$.taker_fee_micros' AS taker_fee_micros, payload ->> '$.maker_user_id' AS maker_user_id,
           payload ->> '$.maker_fee_micros' AS maker_fee_micros
    FROM moves WHERE kind = 'traded'
), flows (seq, n, user_id, instrument_id, reason, amount_micros) AS (
    SELECT m.seq, m.n, m.user_id, NULL, 'opening', c.payload ->> '$.cash_micros'
    FROM moves m JOIN commands c USING (seq) WHERE m.kind = 'account_opened' AND c.kind = 'open_account'
    UNION ALL
    SELECT seq, n, user_id, NULL, iif(kind = 'deposited', 'deposit', 'withdrawal'),
           iif(kind = 'deposited', 1, -1) * (payload ->> '$.amount_micros')
    FROM moves WHERE kind IN ('deposited', 'withdrawn')
    UNION ALL
    SELECT seq, n, taker_user_id, instrument_id,
           iif(taker_order_id IN (SELECT order_id FROM liquidating), 'liquidation', 'trade'),
           iif(taker_side = 'bid', -cost_micros, cost_micros)
    FROM filled
    UNION ALL
    SELECT seq, n, maker_user_id, instrument_id, 'trade', iif(taker_side = 'bid', cost_micros, -cost_micros) FROM filled
    UNION ALL
    SELECT seq, n, taker_user_id, instrument_id, 'fee', -taker_fee_micros FROM filled
    UNION ALL
    SELECT seq, n, maker_user_id, instrument_id, 'fee', -maker_fee_micros FROM filled
    UNION ALL
    SELECT seq, n, 'fees', instrument_id, 'fee', taker_fee_micros + maker_fee_micros FROM filled
    UNION ALL
    SELECT seq, n, user_id, instrument_id, 'settlement', payload ->> '$.payout_micros' FROM moves
    WHERE kind = 'position_settled'
    UNION ALL
    SELECT seq, n, user_id, instrument_id, 'fee', -(payload ->> '$.fee_micros') FROM moves
    WHERE kind = 'position_settled'
    UNION ALL
    SELECT seq, n, 'fees', instrument_id, 'fee', payload ->> '$.fee_micros' FROM moves WHERE kind = 'position_settled'
    UNION ALL
    SELECT seq, n, user_id, NULL, 'shortfall', payload ->> '$.amount_micros' FROM moves WHERE kind = 'shortfall_covered'
    UNION ALL
    SELECT seq, n, 'insurance', NULL, 'shortfall', -(payload ->> '$.amount_micros') FROM moves
    WHERE kind = 'shortfall_covered'
)
SELECT flows.seq, flows.n, c.ts_us,
       utc_iso(c.ts_us) AS time,
       flows.user_id, reason, flows.instrument_id, amount_micros
FROM flows JOIN commands c USING (seq) WHERE amount_micros <> 0;

-- Positions that are open or lock collateral for open asks. `quantity_milli` is negative for a short position. Settled
-- positions are left out.
CREATE VIEW positions AS
WITH changed AS (
    SELECT user_id, instrument_id, max(seq * 1000000 + n) AS place, seq, kind,
           payload ->> '$.quantity_milli' AS quantity_milli, payload ->> '$.locked_micros' AS locked_micros
    FROM events WHERE kind IN ('position_changed', 'position_settled') GROUP BY user_id, instrument_id
), margined AS (
    SELECT user_id, margin.key AS instrument_id, max(seq * 1000000 + n) AS place, seq, margin.value AS locked_micros
    FROM events, json_each(payload, '$.locked_micros') AS margin
    WHERE kind = 'margins_changed' GROUP BY user_id, margin.key
), latest AS (
    SELECT changed.user_id, changed.instrument_id, quantity_milli,
           iif(margined.place > changed.place, margined.locked_micros, changed.locked_micros) AS locked_micros,
           iif(margined.place > changed.place, margined.seq, changed.seq) AS as_of_seq
    FROM changed LEFT JOIN margined USING (user_id, instrument_id) WHERE kind = 'position_changed'
)
SELECT user_id, instrument_id, quantity_milli, locked_micros, as_of_seq
FROM latest WHERE quantity_milli <> 0 OR locked_micros <> 0;

-- Every option that was ever listed, with its state after the last command.
CREATE VIEW instruments AS
WITH latest AS MATERIALIZED (
    SELECT instrument_id, max(seq) AS seq, payload ->> '$.state' AS state
    FROM events WHERE kind = 'instrument_state_changed' GROUP BY instrument_id
), delivered AS MATERIALIZED (
    SELECT payload ->> '$.asset' AS asset, payload ->> '$.expiration_s' AS expiration_s,
           payload ->> '$.price_micros' AS delivery_price_micros
    FROM events WHERE kind = 'delivery_price_set'
), created AS (
    SELECT instrument_id, payload ->> '$.asset' AS asset, payload ->> '$.option_type' AS option_type,
           payload ->> '$.strike_micros' AS strike_micros, payload ->> '$.expiration_s' AS expiration_s,
           payload ->> '$.tick_micros' AS tick_micros, payload ->> '$.min_size_milli' AS min_size_milli, seq
    FROM events WHERE kind = 'instrument_created'
)
SELECT created.instrument_id, created.asset, option_type, strike_micros, created.expiration_s,
       strftime('%Y-%m-%dT%H:%M:%SZ', created.expiration_s, 'unixepoch') AS expiration, tick_micros, min_size_milli,
       coalesce(latest.state, 'open') AS state, created.seq AS created_seq, c.ts_us AS created_us,
       delivery_price_micros
FROM created JOIN commands c ON c.seq = created.seq LEFT JOIN latest ON latest.instrument_id = created.instrument_id
     LEFT JOIN delivered ON delivered.asset = created.asset AND delivered.expiration_s = created.expiration_s;

-- Every run of the server. The view cannot tell whether the last run goes on; the lock file next to the journal can.
CREATE VIEW sessions AS
WITH marks AS (
    SELECT seq, ts_us, kind, payload,
           lead(seq) OVER (ORDER BY seq) AS next_seq, lead(kind) OVER (ORDER BY seq) AS next_kind
    FROM commands WHERE kind IN ('start_session', 'end_session')
), runs AS (
    SELECT row_number() OVER (ORDER BY seq) AS session, seq AS first_seq,
           CASE next_kind WHEN 'end_session' THEN next_seq WHEN 'start_session' THEN next_seq - 1
                ELSE (SELECT max(seq) FROM commands) END AS last_seq,
           ts_us AS started_us, payload ->> '$.program_version' AS program_version,
           CASE next_kind WHEN 'end_session' THEN 'clean' WHEN 'start_session' THEN 'crashed'
                ELSE 'running or crashed' END AS ending
    FROM marks WHERE kind = 'start_session'
)
SELECT session, first_seq, last_seq, last_seq - first_seq + 1 AS commands,
       started_us, strftime('%Y-%m-%dT%H:%M:%SZ', started_us / 1000000, 'unixepoch') AS started,
       c.ts_us AS ended_us, strftime('%Y-%m-%dT%H:%M:%SZ', c.ts_us / 1000000, 'unixepoch') AS ended,
       program_version, ending
FROM runs JOIN commands c ON c.seq = last_seq;

-- Every index price.
CREATE VIEW index_prices AS
SELECT e.seq, c.ts_us,
       utc_iso(c.ts_us) AS time,
       e.payload ->> '$.asset' AS asset, e.payload ->> '$.price_micros' AS price_micros,
       coalesce(c.payload ->> '$.forced', 0) AS forced
FROM events e JOIN commands c USING (seq)
WHERE e.kind = 'index_price_set';

-- Every mark price, in the order of (seq, n). It is valid until the next one of the same instrument.
CREATE VIEW marks AS
SELECT e.seq, e.n, c.ts_us,
       utc_iso(c.ts_us) AS time,
       e.payload ->> '$.asset' AS asset, mark.key AS instrument_id, mark.value AS mark_micros
FROM events e JOIN commands c USING (seq) JOIN json_each(e.payload, '$.marks') mark
WHERE e.kind = 'marks_set';

-- Every liquidation of an account, whose cash was below its maintenance margin: how many of its orders were cancelled,
-- the size of its shorts that the exchange tried to buy back, and the size that it bought within the command.
CREATE VIEW liquidations AS
WITH moves AS MATERIALIZED (
    SELECT seq, kind, coalesce(user_id, payload ->> '$.taker_user_id') AS user_id, payload FROM events
    WHERE kind IN ('liquidation_started', 'traded') OR (kind = 'order_accepted' AND payload ->> '$.liquidation' = 1)
       OR (kind = 'order_cancelled' AND payload ->> '$.reason' = 'liquidation')
), started AS MATERIALIZED (
    SELECT seq, user_id, payload ->> '$.cash_micros' AS cash_micros,
           payload ->> '$.maintenance_micros' AS maintenance_micros
    FROM moves WHERE kind = 'liquidation_started'
), cancelled AS MATERIALIZED (
    SELECT seq, user_id, count(*) AS orders_cancelled FROM moves WHERE kind = 'order_cancelled' GROUP BY seq, user_id
), placed AS MATERIALIZED (
    SELECT payload ->> '$.order_id' AS order_id, seq, user_id, payload ->> '$.size_milli' AS size_milli
    FROM moves WHERE kind = 'order_accepted'
), wanted AS MATERIALIZED (
    SELECT seq, user_id, sum(size_milli) AS wanted_milli FROM placed GROUP BY seq, user_id
), bought AS MATERIALIZED (
    SELECT seq, user_id, sum(payload ->> '$.size_milli') AS bought_milli,
           sum((payload ->> '$.price_micros') * (payload ->> '$.size_milli') / 1000) AS cost_micros,
           sum(payload ->> '$.taker_fee_micros') AS fee_micros
    FROM moves WHERE kind = 'traded' AND payload ->> '$.taker_order_id' IN (SELECT order_id FROM placed)
    GROUP BY seq, user_id
)
SELECT started.seq, c.ts_us,
       utc_iso(c.ts_us) AS time,
       started.user_id, c.kind AS cause, cash_micros, maintenance_micros,
       coalesce(orders_cancelled, 0) AS orders_cancelled, coalesce(wanted_milli, 0) AS wanted_milli,
       coalesce(bought_milli, 0) AS bought_milli, coalesce(cost_micros, 0) AS cost_micros,
       coalesce(fee_micros, 0) AS fee_micros
FROM started JOIN commands c USING (seq)
     LEFT JOIN cancelled ON cancelled.seq = started.seq AND cancelled.user_id = started.user_id
     LEFT JOIN wanted ON wanted.seq = started.seq AND wanted.user_id = started.user_id
     LEFT JOIN bought ON bought.seq = started.seq AND bought.user_id = started.user_id;

-- The delivery price of each settled series. `cause` is end_day if the exchange settled it at the end of the day, or
-- settle_series if the administrator did. In that case the series had waited since `delayed_seq`.
CREATE VIEW delivery_prices AS
WITH delayed AS MATERIALIZED (
    SELECT payload ->> '$.asset' AS asset, payload ->> '$.expiration_s' AS expiration_s, min(seq) AS delayed_seq
    FROM events WHERE kind = 'settlement_delayed' GROUP BY 1, 2
), priced AS MATERIALIZED (
    SELECT seq, payload ->> '$.asset' AS asset, payload ->> '$.expiration_s' AS expiration_s,
           payload ->> '$.price_micros' AS delivery_price_micros
    FROM events WHERE kind = 'delivery_price_set'
)
SELECT priced.asset, priced.expiration_s,
       strftime('%Y-%m-%dT%H:%M:%SZ', priced.expiration_s, 'unixepoch') AS expiration,
       delivery_price_micros, priced.seq, c.ts_us,
       utc_iso(c.ts_us) AS time,
       c.kind AS cause, delayed_seq
FROM priced JOIN commands c USING (seq) LEFT JOIN delayed USING (asset, expiration_s);

-- Every position that was settled. `intrinsic_micros` is the value of one contract at the delivery price; the payout is
-- this value times the quantity, so it is negative for a short position.
CREATE VIEW settlements AS
WITH settled AS MATERIALIZED (
    SELECT seq, n, user_id, instrument_id, payload ->> '$.quantity_milli' AS quantity_milli,
           payload ->> '$.payout_micros' AS payout_micros, payload ->> '$.fee_micros' AS fee_micros
    FROM events WHERE kind = 'position_settled'
), terms AS MATERIALIZED (
    SELECT instrument_id, option_type, strike_micros, delivery_price_micros,
           max(iif(option_type = 'call', 1, -1) * (delivery_price_micros - strike_micros), 0) AS intrinsic_micros
    FROM instruments WHERE delivery_price_micros IS NOT NULL
)
SELECT settled.seq, settled.n, c.ts_us,
       utc_iso(c.ts_us) AS time,
       settled.user_id, settled.instrument_id, quantity_milli, delivery_price_micros, payout_micros, fee_micros,
       option_type, strike_micros, intrinsic_micros
FROM settled JOIN commands c USING (seq) LEFT JOIN terms ON terms.instrument_id = settled.instrument_id;

-- Every set of rules as JSON, in force from `seq` to `last_seq` (NULL: still in force). `changed` has the rules that
-- differ from the set before, with their new values, by the names of `exchange admin rules`; null: the rule is gone.
CREATE VIEW rules_history AS
WITH ruled AS (
    SELECT seq, payload -> '$.rules' AS rules FROM events WHERE kind IN ('configured', 'rules_changed')
), ordered AS (
    SELECT seq, lead(seq) OVER (ORDER BY seq) - 1 AS last_seq, rules, lag(seq) OVER (ORDER BY seq) AS previous_seq
    FROM ruled
), named AS MATERIALIZED (
    SELECT seq, rule.atom AS value, iif(rule.path GLOB '*series[[]*',
           'market.series.' || json_extract(rules, rule.path || '.asset') || '.' || rule.key,
           replace(substr(rule.fullkey, 3), '"', '')) AS name
    FROM ruled, json_tree(rules) rule
    WHERE rule.atom IS NOT NULL AND NOT (rule.path GLOB '*series[[]*' AND rule.key = 'asset')
)
SELECT ordered.seq, last_seq, c.ts_us,
       utc_iso(c.ts_us) AS time,
       c.kind AS cause, rules,
       iif(previous_seq IS NULL, NULL,
           (SELECT json_group_object(name, value) FROM (
                SELECT name, value FROM named WHERE named.seq = ordered.seq
                EXCEPT SELECT name, value FROM named WHERE named.seq = previous_seq
                UNION ALL
                SELECT * FROM (
                    SELECT name, NULL FROM named WHERE named.seq = previous_seq
                    EXCEPT SELECT name, NULL FROM named WHERE named.seq = ordered.seq)))) AS changed
FROM ordered JOIN commands c USING (seq);
