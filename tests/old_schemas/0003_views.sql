-- What people query. The names and meanings of these columns are stable; docs/sql.md describes them.
-- Views only read: nothing here costs the running exchange anything. `time` is UTC in ISO 8601, sortable as text.

CREATE VIEW trades AS
SELECT e.payload ->> '$.trade_id' AS trade_id, e.seq, c.ts_us,
       strftime('%Y-%m-%dT%H:%M:%S', c.ts_us / 1000000, 'unixepoch') || printf('.%06dZ', c.ts_us % 1000000) AS time,
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

-- Every change of an order, in the order of (seq, n). `size_milli` of a fill is what was traded, else the whole size;
-- `remaining_milli` is what the order still wants afterwards, or what a cancellation took back.
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
)
SELECT order_id, seq, n, c.ts_us,
       strftime('%Y-%m-%dT%H:%M:%S', c.ts_us / 1000000, 'unixepoch') || printf('.%06dZ', c.ts_us % 1000000) AS time,
       change, changes.user_id, changes.instrument_id, side, price_micros, size_milli, remaining_milli,
       trade_id, liquidity, reason
FROM changes JOIN commands c USING (seq);

-- Two rows a trade, one for each side of it.
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

-- Every order as it is after the last command. `average_price_micros` is rounded to the nearest, a half up: whole part
-- and rest apart, for 2000 times the largest cost does not fit into 64 bits.
CREATE VIEW orders AS
WITH placed AS MATERIALIZED (
    SELECT payload ->> '$.order_id' AS order_id, user_id, instrument_id,
           payload ->> '$.client_order_id' AS client_order_id, payload ->> '$.side' AS side,
           payload ->> '$.type' AS type, payload ->> '$.time_in_force' AS time_in_force,
           payload ->> '$.post_only' AS post_only, payload ->> '$.price_micros' AS price_micros,
           payload ->> '$.size_milli' AS size_milli, seq
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
           max(placed.seq, coalesce(edited.seq, 0), coalesce(filled.seq, 0), coalesce(cancelled.seq, 0)) AS updated_seq
    FROM placed LEFT JOIN edited USING (order_id) LEFT JOIN filled USING (order_id) LEFT JOIN cancelled USING (order_id)
)
SELECT order_id, latest.user_id, client_order_id, latest.instrument_id, side, type, time_in_force, post_only,
       price_micros, size_milli, filled_milli, size_milli - filled_milli AS remaining_milli,
       1000 * (cost_micros / filled_milli)
           + (2000 * (cost_micros % filled_milli) + filled_milli) / (2 * filled_milli) AS average_price_micros,
       fee_micros,
       CASE WHEN cancel_reason IS NOT NULL THEN 'cancelled' WHEN filled_milli = 0 THEN 'open'
            WHEN filled_milli < size_milli THEN 'partially_filled' ELSE 'filled' END AS status,
       cancel_reason, placed_seq, updated_seq, p.ts_us AS created_us, u.ts_us AS updated_us
FROM latest JOIN commands p ON p.seq = placed_seq JOIN commands u ON u.seq = updated_seq;

CREATE VIEW open_orders AS
SELECT * FROM orders WHERE status IN ('open', 'partially_filled');

-- Every change of cash and of locks: which command caused it, whose, and the running balance after it. An account begins
-- with nothing where it is opened; where that is in an archive that is not here, its first change is not known: NULL.
CREATE VIEW ledger AS
WITH balances_then AS (
    SELECT seq, n, kind, user_id, coalesce(payload ->> '$.cash_micros', 0) AS cash_micros,
           coalesce(payload ->> '$.locked_micros', 0) AS locked_micros
    FROM events WHERE kind IN ('account_opened', 'balance_changed')
), changes AS (
    SELECT *, cash_micros - lag(cash_micros) OVER whole AS cash_change_micros,
           locked_micros - lag(locked_micros) OVER whole AS locked_change_micros
    FROM balances_then WINDOW whole AS (PARTITION BY user_id ORDER BY seq, n)
)
SELECT changes.seq, c.ts_us,
       strftime('%Y-%m-%dT%H:%M:%S', c.ts_us / 1000000, 'unixepoch') || printf('.%06dZ', c.ts_us % 1000000) AS time,
       changes.user_id, c.kind AS cause, c.user_id AS cause_user_id, c.instrument_id,
       cash_change_micros, locked_change_micros, cash_micros, locked_micros,
       cash_micros - locked_micros AS available_micros
FROM changes JOIN commands c USING (seq) WHERE changes.kind = 'balance_changed';

-- An account that was opened with nothing has had no balance_changed yet.
CREATE VIEW balances AS
WITH balances_then AS (
    SELECT user_id, coalesce(payload ->> '$.cash_micros', 0) AS cash_micros,
           coalesce(payload ->> '$.locked_micros', 0) AS locked_micros, seq,
           row_number() OVER (PARTITION BY user_id ORDER BY seq DESC, n DESC) AS age
    FROM events WHERE kind IN ('account_opened', 'balance_changed')
)
SELECT user_id, cash_micros, locked_micros, cash_micros - locked_micros AS available_micros, seq AS as_of_seq
FROM balances_then WHERE age = 1;

-- Positions that are open, or that hold collateral for open asks. `quantity_milli` is negative for a short.
CREATE VIEW positions AS
WITH latest AS (
    SELECT user_id, instrument_id, max(seq) AS as_of_seq, payload ->> '$.quantity_milli' AS quantity_milli,
           payload ->> '$.locked_micros' AS locked_micros
    FROM events WHERE kind = 'position_changed' GROUP BY user_id, instrument_id
)
SELECT user_id, instrument_id, quantity_milli, locked_micros, as_of_seq
FROM latest WHERE quantity_milli <> 0 OR locked_micros <> 0;

CREATE VIEW instruments AS
WITH latest AS MATERIALIZED (
    SELECT instrument_id, max(seq) AS seq, payload ->> '$.state' AS state
    FROM events WHERE kind = 'instrument_state_changed' GROUP BY instrument_id
)
SELECT created.instrument_id, created.payload ->> '$.asset' AS asset,
       created.payload ->> '$.option_type' AS option_type, created.payload ->> '$.strike_micros' AS strike_micros,
       created.payload ->> '$.expiration_s' AS expiration_s,
       strftime('%Y-%m-%dT%H:%M:%SZ', created.payload ->> '$.expiration_s', 'unixepoch') AS expiration,
       created.payload ->> '$.tick_micros' AS tick_micros, created.payload ->> '$.min_size_milli' AS min_size_milli,
       coalesce(latest.state, 'open') AS state, created.seq AS created_seq, c.ts_us AS created_us
FROM events created JOIN commands c ON c.seq = created.seq LEFT JOIN latest ON latest.instrument_id = created.instrument_id
WHERE created.kind = 'instrument_created';

-- Every run of the server. Only the lock beside the file knows whether the last one still runs.
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

-- Every command with its fields in columns, and what became of it: done, repeated (the same order came again), or
-- refused for `reason`; NULL while its events are not recorded yet, which takes a moment. `order_id` is the one order
-- that was placed or named; a command that may cancel many has none.
CREATE VIEW commands_decoded AS
SELECT c.seq, c.ts_us,
       strftime('%Y-%m-%dT%H:%M:%S', c.ts_us / 1000000, 'unixepoch') || printf('.%06dZ', c.ts_us % 1000000) AS time,
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
       iif(e.kind = 'refused', e.payload ->> '$.reason', NULL) AS reason
FROM commands c LEFT JOIN events e ON e.seq = c.seq AND e.n = 0;
