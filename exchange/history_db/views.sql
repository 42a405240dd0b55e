-- The views of the history. Names, order and meaning of the columns are stable; docs/sql.md describes them.
--
-- CROSS JOIN makes SQLite read the tables in the order in which they stand: it has no statistics, and would otherwise
-- read all versions of all keys.
--
-- `utc_iso(us)` is a macro: the time in UTC in ISO 8601 with microseconds, which sorts as text. `short_margin(nanos, milli)`
-- is one too: what that many millicontracts lock, in micros, rounded up. Columns in whole USDC or contracts (`price`, `size`, `cash` ...) are for people; compute with the exact integers.

-- One row for each trade.
CREATE VIEW trades AS
SELECT t.trade_id, t.seq, t.ts_us, utc_iso(t.ts_us) AS time, i.instrument_id, t.price_micros, t.size_milli,
       t.price_micros * t.size_milli / 1000 AS cost_micros, t.taker_side,
       taker.user_id AS taker_user_id, t.taker_order_id, t.taker_fee_micros,
       maker.user_id AS maker_user_id, t.maker_order_id, t.maker_fee_micros,
       t.price_micros / 1e6 AS price, t.size_milli / 1e3 AS size,
       t.price_micros * t.size_milli / 1000 / 1e6 AS cost
FROM trade t JOIN instrument i ON i.instrument = t.instrument
     JOIN user taker ON taker.user = t.taker JOIN user maker ON maker.user = t.maker;

-- Two rows for each trade, one for each side. Both parts compute `side`: with columns of one kind, SQLite reads the newest
-- fills of a user from the indexes, and no others.
CREATE VIEW fills AS
SELECT t.trade_id, t.seq, t.ts_us, utc_iso(t.ts_us) AS time, u.user_id, t.taker_order_id AS order_id,
       i.instrument_id, iif(t.taker_side = 'bid', 'bid', 'ask') AS side, 'taker' AS liquidity, t.price_micros, t.size_milli,
       t.price_micros * t.size_milli / 1000 AS cost_micros, t.taker_fee_micros AS fee_micros,
       other.user_id AS counterparty_user_id,
       t.price_micros / 1e6 AS price, t.size_milli / 1e3 AS size, t.taker_fee_micros / 1e6 AS fee
FROM trade t JOIN instrument i ON i.instrument = t.instrument
     JOIN user u ON u.user = t.taker JOIN user other ON other.user = t.maker
UNION ALL
SELECT t.trade_id, t.seq, t.ts_us, utc_iso(t.ts_us), u.user_id, t.maker_order_id,
       i.instrument_id, iif(t.taker_side = 'bid', 'ask', 'bid'), 'maker', t.price_micros, t.size_milli,
       t.price_micros * t.size_milli / 1000, t.maker_fee_micros, other.user_id,
       t.price_micros / 1e6, t.size_milli / 1e3, t.maker_fee_micros / 1e6
FROM trade t JOIN instrument i ON i.instrument = t.instrument
     JOIN user u ON u.user = t.maker JOIN user other ON other.user = t.taker;

-- Every change of an order, in the order of (seq, n). `size_milli` is the traded size in a fill, otherwise the size of
-- the order. `remaining_milli` is the unfilled size after the change, in a cancellation the cancelled size.
CREATE VIEW order_history AS
SELECT v.order_id, v.seq, v.n, c.ts_us, utc_iso(c.ts_us) AS time, v.change, u.user_id,
       iif(v.change = 'repeated', NULL, i.instrument_id) AS instrument_id,
       iif(v.change = 'repeated', NULL, o.side) AS side,
       iif(v.trade_id IS NULL, v.price_micros, t.price_micros) AS price_micros,
       CASE v.change WHEN 'filled' THEN t.size_milli WHEN 'cancelled' THEN v.remaining_milli
            WHEN 'repeated' THEN NULL ELSE v.size_milli END AS size_milli,
       iif(v.change = 'repeated', NULL, v.remaining_milli) AS remaining_milli,
       v.trade_id, iif(v.trade_id IS NULL, NULL, iif(t.taker_order_id = v.order_id, 'taker', 'maker')) AS liquidity,
       v.reason, o.reduce_only, o.liquidation,
       iif(v.trade_id IS NULL, v.price_micros, t.price_micros) / 1e6 AS price,
       v.remaining_milli / 1e3 AS remaining
FROM order_version v JOIN book_order o ON o.order_id = v.order_id JOIN user u ON u.user = o.user
     JOIN instrument i ON i.instrument = o.instrument JOIN command c ON c.seq = v.seq
     LEFT JOIN trade t ON t.trade_id = v.trade_id;

-- Every state of an order: valid from command `seq_from` until before `seq_to` (NULL: still). Within one command only
-- the last state counts, so the state after command S is the row with seq_from <= S and (seq_to > S or NULL).
CREATE VIEW order_versions AS
SELECT v.order_id, v.seq AS seq_from,
       (SELECT later.seq FROM order_version later WHERE later.order_id = v.order_id AND later.seq > v.seq
                                                    AND later.change <> 'repeated' LIMIT 1) AS seq_to,
       u.user_id, i.instrument_id, o.side, v.price_micros, v.size_milli, v.size_milli - v.remaining_milli AS filled_milli,
       v.remaining_milli, v.cost_micros, v.fee_micros,
       CASE WHEN v.change = 'cancelled' THEN 'cancelled' WHEN v.remaining_milli = 0 THEN 'filled'
            WHEN v.remaining_milli < v.size_milli THEN 'partially_filled' ELSE 'open' END AS status,
       v.reason AS cancel_reason, v.price_micros / 1e6 AS price, v.remaining_milli / 1e3 AS remaining
FROM order_version v JOIN book_order o ON o.order_id = v.order_id JOIN user u ON u.user = o.user
     JOIN instrument i ON i.instrument = o.instrument
WHERE v.change <> 'repeated'
  AND NOT EXISTS (SELECT 1 FROM order_version same WHERE same.order_id = v.order_id AND same.seq = v.seq
                                                     AND same.n > v.n AND same.change <> 'repeated');

-- Every order as it is after the last command. The exchange placed the orders with `liquidation`.
-- `average_price_micros` is rounded to the nearest micro, half up. Quotient and remainder are computed apart because
-- 2000 times the largest cost does not fit into 64 bits.
CREATE VIEW orders AS
SELECT o.order_id, u.user_id, o.client_order_id, i.instrument_id, o.side, o.type, o.time_in_force, o.post_only,
       o.price_micros, o.size_milli, o.filled_milli, o.size_milli - o.filled_milli AS remaining_milli,
       1000 * (o.cost_micros / o.filled_milli)
           + (2000 * (o.cost_micros % o.filled_milli) + o.filled_milli) / (2 * o.filled_milli) AS average_price_micros,
       o.fee_micros, o.status, o.cancel_reason, o.placed_seq, o.updated_seq,
       placed.ts_us AS created_us, updated.ts_us AS updated_us, o.reduce_only, o.liquidation, o.label,
       o.trigger_order_id, b.displayed_milli, b.refresh_milli,
       l.link, l.fill_condition, l.order_ids AS linked_order_ids,
       o.price_micros / 1e6 AS price, o.size_milli / 1e3 AS size, o.filled_milli / 1e3 AS filled
FROM book_order o JOIN user u ON u.user = o.user JOIN instrument i ON i.instrument = o.instrument
     JOIN command placed ON placed.seq = o.placed_seq JOIN command updated ON updated.seq = o.updated_seq
     LEFT JOIN iceberg_version b ON b.order_id = o.order_id AND (b.seq, b.n) = (
        SELECT newest.seq, newest.n FROM iceberg_version newest WHERE newest.order_id = o.order_id
        ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
     LEFT JOIN linked_order l ON l.order_id = o.order_id;

-- The orders that are still in a book.
CREATE VIEW open_orders AS
SELECT * FROM orders WHERE status IN ('open', 'partially_filled');

-- Every trigger order as it is after the last command. `placed_order_id` is the order that it placed.
CREATE VIEW trigger_orders AS
SELECT o.order_id, u.user_id, o.client_order_id, o.label, i.instrument_id, o.side, o.type, o.trigger,
       v.trigger_price_micros, v.trigger_offset_micros, o.reference_micros, v.price_micros, v.size_milli,
       o.time_in_force, o.post_only, o.reduce_only, v.status, v.reason, v.shown_micros,
       (SELECT placed.order_id FROM book_order placed WHERE placed.trigger_order_id = o.order_id) AS placed_order_id,
       o.placed_seq, v.seq AS updated_seq, placed.ts_us AS created_us, updated.ts_us AS updated_us,
       (SELECT b.refresh_milli FROM iceberg_version b WHERE b.order_id = o.order_id LIMIT 1) AS refresh_milli,
       l.link, l.fill_condition, l.order_ids AS linked_order_ids, v.primary_order_id,
       v.trigger_price_micros / 1e6 AS trigger_price, v.price_micros / 1e6 AS price, v.size_milli / 1e3 AS size
FROM trigger_order o
     JOIN trigger_version v ON v.order_id = o.order_id AND (v.seq, v.n) = (
        SELECT newest.seq, newest.n FROM trigger_version newest WHERE newest.order_id = o.order_id
        ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
     JOIN user u ON u.user = o.user JOIN instrument i ON i.instrument = o.instrument
     JOIN command placed ON placed.seq = o.placed_seq JOIN command updated ON updated.seq = v.seq
     LEFT JOIN linked_order l ON l.order_id = o.order_id;

-- The quotes of mass quotes that are still in a book, with the last mass quote that changed each.
CREATE VIEW mass_quotes AS
SELECT q.mmp_group, q.quote_set_id, q.quote_id, q.seq AS quoted_seq, o.*
FROM open_orders o JOIN quote_terms q ON q.order_id = o.order_id AND q.seq = (
    SELECT newest.seq FROM quote_terms newest WHERE newest.order_id = o.order_id ORDER BY newest.seq DESC LIMIT 1);

-- Every configuration of an MMP group. An interval of 0 removed the group.
CREATE VIEW mmp_configs AS
SELECT m.seq, c.ts_us, u.user_id, m.mmp_group, m.asset, m.interval_s, m.frozen_s, m.quantity_limit_milli,
       m.delta_limit_milli, m.vega_limit_micros
FROM mmp_config m JOIN user u ON u.user = m.user JOIN command c ON c.seq = m.seq;

-- Every freeze of an MMP group: the limit that its fills reached, and the sums of the interval.
CREATE VIEW mmp_triggers AS
SELECT m.seq, c.ts_us, u.user_id, m.mmp_group, m.asset, m.reached, m.frozen_until_us, m.quantity_milli, m.delta_milli,
       m.vega_micros
FROM mmp_trigger m JOIN user u ON u.user = m.user JOIN command c ON c.seq = m.seq WHERE m.reached IS NOT NULL;

-- The book of every instrument after the last command: one row for each price with orders. Of an iceberg order it has
-- the part that shows.
CREATE VIEW books AS
SELECT i.instrument_id, o.side, o.price_micros, sum(coalesce(b.displayed_milli, o.size_milli - o.filled_milli)) AS size_milli,
       count(*) AS orders, o.price_micros / 1e6 AS price,
       sum(coalesce(b.displayed_milli, o.size_milli - o.filled_milli)) / 1e3 AS size
FROM book_order o JOIN instrument i ON i.instrument = o.instrument
     LEFT JOIN iceberg_version b ON b.order_id = o.order_id AND (b.seq, b.n) = (
        SELECT newest.seq, newest.n FROM iceberg_version newest WHERE newest.order_id = o.order_id
        ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
WHERE o.status IN ('open', 'partially_filled') AND o.price_micros IS NOT NULL
GROUP BY o.instrument, o.side, o.price_micros;

-- Every command with its fields in columns. `outcome` is done, repeated (the same order was sent again) or refused (for
-- `reason`). `order_id` is the order that the command placed or named; it is NULL if the command can cancel several.
-- Fields that the JSON of the command does not show here are those of the order or the index price.
CREATE VIEW commands_decoded AS
SELECT c.seq, c.ts_us, utc_iso(c.ts_us) AS time, c.kind, u.user_id, i.instrument_id, c.order_id,
       coalesce(o.client_order_id, c.payload ->> '$.client_order_id') AS client_order_id,
       coalesce(o.side, c.payload ->> '$.side') AS side, coalesce(o.type, c.payload ->> '$.type') AS type,
       coalesce(o.time_in_force, c.payload ->> '$.time_in_force') AS time_in_force,
       coalesce(o.post_only, c.payload ->> '$.post_only') AS post_only,
       coalesce(o.placed_price_micros, v.price_micros, p.price_micros, c.payload ->> '$.price_micros') AS price_micros,
       coalesce(o.placed_size_milli, v.size_milli, c.payload ->> '$.size_milli') AS size_milli,
       coalesce(c.payload ->> '$.amount_micros', c.payload ->> '$.cash_micros') AS amount_micros,
       c.outcome, c.reason,
       coalesce(p.asset, c.payload ->> '$.asset') AS asset, c.payload ->> '$.expiration_s' AS expiration_s,
       coalesce(nullif(o.reduce_only, 0), c.payload ->> '$.reduce_only') AS reduce_only,
       coalesce(p.forced, c.payload ->> '$.forced') AS forced,
       c.payload ->> '$.halted' AS halted, c.payload ->> '$.suspended' AS suspended,
       c.payload ->> '$.open_orders_max' AS open_orders_max,
       c.payload ->> '$.position_max_milli' AS position_max_milli, c.payload -> '$.rules' AS rules,
       coalesce(o.label, c.payload ->> '$.label') AS label,
       coalesce(o.placed_price_micros, v.price_micros, p.price_micros, c.payload ->> '$.price_micros') / 1e6 AS price,
       coalesce(o.placed_size_milli, v.size_milli, c.payload ->> '$.size_milli') / 1e3 AS size
FROM command c LEFT JOIN user u ON u.user = c.user LEFT JOIN instrument i ON i.instrument = c.instrument
     LEFT JOIN book_order o ON c.payload IS NULL AND c.kind = 'place_order' AND o.order_id = c.order_id
     LEFT JOIN order_version v ON c.payload IS NULL AND c.kind = 'edit_order' AND v.order_id = c.order_id
                                  AND v.seq = c.seq AND v.n = 0
     LEFT JOIN index_price p ON c.payload IS NULL AND c.kind = 'set_index_price' AND p.seq = c.seq AND p.n = 0;

-- The commands as the journal has them. A payload that is not stored has the fields of the order or the index price.
-- `hash` is in hexadecimal: datasette shows no bytes of a view.
CREATE VIEW commands AS
SELECT c.seq, c.ts_us,
       coalesce(c.payload, CASE c.kind
            WHEN 'place_order' THEN (
                SELECT printf('{"kind":"place_order","user_id":"%s","instrument_id":"%s","side":"%s","type":"%s",'
                              || '"time_in_force":"%s","price_micros":%s,"size_milli":%d,"post_only":%s,'
                              || '"client_order_id":%s%s%s}',
                              u.user_id, i.instrument_id, o.side, o.type, o.time_in_force,
                              coalesce(o.placed_price_micros, 'null'), o.placed_size_milli,
                              iif(o.post_only, 'true', 'false'), coalesce('"' || o.client_order_id || '"', 'null'),
                              iif(o.reduce_only, ',"reduce_only":true', ''),
                              coalesce(',"label":"' || o.label || '"', ''))
                FROM book_order o WHERE o.order_id = c.order_id)
            WHEN 'edit_order' THEN (
                SELECT printf('{"kind":"edit_order","user_id":"%s","order_id":%d,"client_order_id":null,'
                              || '"price_micros":%d,"size_milli":%d}',
                              u.user_id, c.order_id, v.price_micros, v.size_milli)
                FROM order_version v WHERE v.order_id = c.order_id AND v.seq = c.seq AND v.n = 0)
            WHEN 'cancel_order' THEN
                printf('{"kind":"cancel_order","user_id":"%s","order_id":%d,"client_order_id":null,'
                       || '"instrument_id":null}', u.user_id, c.order_id)
            WHEN 'set_index_price' THEN (
                SELECT printf('{"kind":"set_index_price","asset":"%s","price_micros":%d,"forced":%s}',
                              p.asset, p.price_micros, iif(p.forced, 'true', 'false'))
                FROM index_price p WHERE p.seq = c.seq AND p.n = 0)
            END) AS payload,
       lower(hex(c.hash)) AS hash, c.kind, u.user_id, i.instrument_id
FROM command c LEFT JOIN user u ON u.user = c.user LEFT JOIN instrument i ON i.instrument = c.instrument;

-- The events of every command as JSON, in the order of (seq, n). `order_id` is that of events about one order.
CREATE VIEW events AS
SELECT e.seq, e.n,
       coalesce(e.payload, CASE k.name
            WHEN 'order_accepted' THEN (
                SELECT printf('{"kind":"order_accepted","order_id":%d,"user_id":"%s","instrument_id":"%s","side":"%s",'
                              || '"type":"%s","time_in_force":"%s","price_micros":%s,"size_milli":%d,"post_only":%s,'
                              || '"client_order_id":%s%s%s%s%s}',
                              o.order_id, u.user_id, i.instrument_id, o.side, o.type, o.time_in_force,
                              coalesce(o.placed_price_micros, 'null'), o.placed_size_milli,
                              iif(o.post_only, 'true', 'false'), coalesce('"' || o.client_order_id || '"', 'null'),
                              iif(o.reduce_only, ',"reduce_only":true', ''),
                              iif(o.liquidation, ',"liquidation":true', ''),
                              coalesce(',"label":"' || o.label || '"', ''),
                              coalesce(',"trigger_order_id":' || o.trigger_order_id, ''))
                FROM book_order o WHERE o.order_id = e.ref)
            WHEN 'order_repeated' THEN
                printf('{"kind":"order_repeated","order_id":%d,"user_id":"%s"}', e.ref, u.user_id)
            WHEN 'order_edited' THEN (
                SELECT printf('{"kind":"order_edited","order_id":%d,"user_id":"%s","instrument_id":"%s","side":"%s",'
                              || '"price_micros":%d,"size_milli":%d,"remaining_milli":%d,"kept_place":%s,'
                              || '"previous_price_micros":%d,"previous_remaining_milli":%d}',
                              o.order_id, u.user_id, i.instrument_id, o.side, v.price_micros, v.size_milli,
                              v.remaining_milli, iif(v.kept_place, 'true', 'false'), p.price_micros, p.remaining_milli)
                FROM order_version v JOIN book_order o ON o.order_id = v.order_id
                     JOIN order_version p ON p.order_id = v.order_id AND (p.seq, p.n) = (
                        SELECT b.seq, b.n FROM order_version b
                        WHERE b.order_id = e.ref AND b.change <> 'repeated'
                          AND (b.seq < e.seq OR (b.seq = e.seq AND b.n < e.n))
                        ORDER BY b.seq DESC, b.n DESC LIMIT 1)
                WHERE v.order_id = e.ref AND v.seq = e.seq AND v.n = e.n)
            WHEN 'order_cancelled' THEN (
                SELECT printf('{"kind":"order_cancelled","order_id":%d,"user_id":"%s","instrument_id":"%s","side":"%s",'
                              || '"price_micros":%s,"remaining_milli":%d,"reason":"%s"}',
                              o.order_id, u.user_id, i.instrument_id, o.side, coalesce(v.price_micros, 'null'),
                              v.remaining_milli, v.reason)
                FROM order_version v JOIN book_order o ON o.order_id = v.order_id
                WHERE v.order_id = e.ref AND v.seq = e.seq AND v.n = e.n)
            WHEN 'traded' THEN (
                SELECT printf('{"kind":"traded","trade_id":%d,"instrument_id":"%s","price_micros":%d,"size_milli":%d,'
                              || '"taker_side":"%s","maker_order_id":%d,"maker_user_id":"%s",'
                              || '"maker_remaining_milli":%d,"maker_fee_micros":%d,"taker_order_id":%d,'
                              || '"taker_user_id":"%s","taker_remaining_milli":%d,"taker_fee_micros":%d}',
                              t.trade_id, i.instrument_id, t.price_micros, t.size_milli, t.taker_side,
                              t.maker_order_id, maker.user_id, m.remaining_milli, t.maker_fee_micros,
                              t.taker_order_id, taker.user_id, k.remaining_milli, t.taker_fee_micros)
                FROM trade t JOIN user maker ON maker.user = t.maker JOIN user taker ON taker.user = t.taker
                     JOIN order_version m ON m.order_id = t.maker_order_id AND m.seq = e.seq AND m.n = e.n
                     JOIN order_version k ON k.order_id = t.taker_order_id AND k.seq = e.seq AND k.n = e.n
                WHERE t.trade_id = e.ref)
            WHEN 'position_changed' THEN (
                SELECT printf('{"kind":"position_changed","user_id":"%s","instrument_id":"%s","quantity_milli":%d,'
                              || '"locked_micros":%d}', u.user_id, i.instrument_id, p.quantity_milli,
                              short_margin(m.initial_nanos, p.uncovered_milli))
                FROM position_version p CROSS JOIN mark_version m ON m.instrument = p.instrument AND (m.seq, m.n) = (
                    SELECT newest.seq, newest.n FROM mark_version newest
                    WHERE newest.instrument = p.instrument AND newest.seq <= p.seq
                    ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
                WHERE p.user = e.user AND p.instrument = e.instrument AND p.seq = e.seq AND p.n = e.n)
            -- The positions whose collateral changed with the margin rate alone. An event holds at most 20 of them.
            WHEN 'margins_changed' THEN (
                SELECT printf('{"kind":"margins_changed","user_id":"%s","locked_micros":{%s}}', u.user_id,
                              group_concat(printf('"%s":%d', instrument_id, locked_micros), ','))
                FROM (SELECT named.instrument_id, short_margin(m.initial_nanos, p.uncovered_milli) AS locked_micros,
                             row_number() OVER (ORDER BY named.number) AS place
                      FROM mark_version m
                           CROSS JOIN position_version p ON p.user = e.user AND p.instrument = m.instrument
                               AND (p.seq, p.n) = (
                                   SELECT newest.seq, newest.n FROM position_version newest
                                   WHERE newest.user = e.user AND newest.instrument = m.instrument
                                     AND newest.seq <= e.seq ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
                           CROSS JOIN mark_version old ON old.instrument = m.instrument AND (old.seq, old.n) = (
                               SELECT newest.seq, newest.n FROM mark_version newest
                               WHERE newest.instrument = m.instrument AND newest.seq < e.seq
                               ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
                           CROSS JOIN instrument named ON named.instrument = m.instrument
                      WHERE m.seq = e.seq AND p.seq < e.seq
                        AND short_margin(m.initial_nanos, p.uncovered_milli)
                            <> short_margin(old.initial_nanos, p.uncovered_milli)
                      ORDER BY named.number)
                WHERE (place - 1) / 20 = (
                    SELECT count(*) FROM event b
                    WHERE b.seq = e.seq AND b.n < e.n AND b.kind = e.kind AND b.user = e.user))
            WHEN 'balance_changed' THEN (
                SELECT printf('{"kind":"balance_changed","user_id":"%s","cash_micros":%d,"locked_micros":%d%s}',
                              u.user_id, b.cash_micros, b.locked_micros,
                              iif(b.maintenance_micros, printf(',"maintenance_micros":%d', b.maintenance_micros), ''))
                FROM balance_version b WHERE b.user = e.user AND b.seq = e.seq AND b.n = e.n)
            WHEN 'marks_set' THEN (
                SELECT printf('{"kind":"marks_set","asset":"%s","marks":{%s}}', max(asset),
                              group_concat(printf('"%s":%d', instrument_id, mark_micros), ','))
                FROM (SELECT named.asset, named.instrument_id, m.mark_micros
                      FROM mark_version m CROSS JOIN instrument named ON named.instrument = m.instrument
                      WHERE m.seq = e.seq AND m.n = e.n ORDER BY named.number))
            WHEN 'index_price_set' THEN (
                SELECT printf('{"kind":"index_price_set","asset":"%s","price_micros":%d}', p.asset, p.price_micros)
                FROM index_price p WHERE p.seq = e.seq AND p.n = e.n)
            END) AS payload,
       k.name AS kind, u.user_id, i.instrument_id, iif(k.name = 'traded', NULL, e.ref) AS order_id
FROM event e JOIN event_kind k ON k.kind = e.kind LEFT JOIN user u ON u.user = e.user
     LEFT JOIN instrument i ON i.instrument = e.instrument;

-- The balance of each account after the last command. `shortfall_micros` is the sum that the insurance has paid for the
-- account, less the sum that the account has repaid.
CREATE VIEW balances AS
SELECT u.user_id, b.cash_micros, b.locked_micros, b.cash_micros - b.locked_micros AS available_micros,
       b.seq AS as_of_seq, b.maintenance_micros,
       coalesce((SELECT s.shortfall_micros FROM shortfall s WHERE s.user = u.user ORDER BY s.seq DESC, s.n DESC LIMIT 1), 0)
           AS shortfall_micros,
       b.cash_micros / 1e6 AS cash, b.locked_micros / 1e6 AS locked, (b.cash_micros - b.locked_micros) / 1e6 AS available
FROM user u CROSS JOIN balance_version b ON b.user = u.user AND (b.seq, b.n) = (
    SELECT newest.seq, newest.n FROM balance_version newest WHERE newest.user = u.user
    ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
WHERE u.opened_seq IS NOT NULL;

-- Every change of an account's cash, locks or maintenance margin, with the balance after it. `reason` is the first of
-- shortfall, liquidation, settlement, trade and fee that the command caused for this user; otherwise opening, deposit,
-- withdrawal, order (the user's own orders changed the locks) or margin (the index, a settlement or the rules changed
-- the locks). `cash_flows` lists the parts of a change of cash.
-- The events name the balances that a command changed: SQLite finds them by command as well as by user.
CREATE VIEW ledger AS
SELECT b.seq, c.ts_us, utc_iso(c.ts_us) AS time, u.user_id, c.kind AS cause, by.user_id AS cause_user_id,
       i.instrument_id, b.cash_micros - old.cash_micros AS cash_change_micros,
       b.locked_micros - old.locked_micros AS locked_change_micros, b.cash_micros, b.locked_micros,
       b.cash_micros - b.locked_micros AS available_micros, r.name AS reason, b.maintenance_micros,
       (b.cash_micros - old.cash_micros) / 1e6 AS cash_change, b.cash_micros / 1e6 AS cash
FROM event e JOIN balance_version b ON b.user = e.user AND b.seq = e.seq AND b.n = e.n
     JOIN balance_reason r ON r.reason = b.reason JOIN command c ON c.seq = e.seq JOIN user u ON u.user = e.user
     LEFT JOIN balance_version old ON old.user = b.user AND (old.seq, old.n) = (
         SELECT last.seq, last.n FROM balance_version last
         WHERE last.user = b.user AND last.seq <= b.seq AND (last.seq < b.seq OR last.n < b.n)
         ORDER BY last.seq DESC, last.n DESC LIMIT 1)
     LEFT JOIN user by ON by.user = c.user LEFT JOIN instrument i ON i.instrument = c.instrument;

-- Every movement of cash with its reason: opening, deposit, withdrawal, reset, trade, liquidation (the account whose position was
-- reduced or taken over, and the insurance that took it over), fee, settlement, shortfall (a payment of the insurance), or
-- a payment to the insurance: liquidation_fee, debt or shared_loss. A fill or a settlement has one row for each reason and
-- user.
-- Each part names its user and instrument itself: SQLite then filters every part by its own index.
CREATE VIEW cash_flows AS
SELECT p.seq, p.n, c.ts_us, utc_iso(c.ts_us) AS time, u.user_id, p.reason,
       NULL AS instrument_id, p.amount_micros AS amount_micros,
       p.amount_micros / 1e6 AS amount
FROM payment p JOIN command c ON c.seq = p.seq JOIN user u ON u.user = p.user
WHERE p.amount_micros <> 0
UNION ALL
SELECT t.seq, t.n, t.ts_us, utc_iso(t.ts_us), u.user_id, iif(o.liquidation, 'liquidation', 'trade'),
       i.instrument_id, iif(t.taker_side = 'bid', -1, 1) * (t.price_micros * t.size_milli / 1000),
       iif(t.taker_side = 'bid', -1, 1) * (t.price_micros * t.size_milli / 1000) / 1e6
FROM trade t JOIN user u ON u.user = t.taker JOIN instrument i ON i.instrument = t.instrument
     JOIN book_order o ON o.order_id = t.taker_order_id
WHERE iif(t.taker_side = 'bid', -1, 1) * (t.price_micros * t.size_milli / 1000) <> 0
UNION ALL
SELECT t.seq, t.n, t.ts_us, utc_iso(t.ts_us), u.user_id, 'trade',
       i.instrument_id, iif(t.taker_side = 'bid', 1, -1) * (t.price_micros * t.size_milli / 1000),
       iif(t.taker_side = 'bid', 1, -1) * (t.price_micros * t.size_milli / 1000) / 1e6
FROM trade t JOIN user u ON u.user = t.maker JOIN instrument i ON i.instrument = t.instrument
WHERE iif(t.taker_side = 'bid', 1, -1) * (t.price_micros * t.size_milli / 1000) <> 0
UNION ALL
SELECT t.seq, t.n, t.ts_us, utc_iso(t.ts_us), u.user_id, 'fee', i.instrument_id, -t.taker_fee_micros,
       -t.taker_fee_micros / 1e6
FROM trade t JOIN user u ON u.user = t.taker JOIN instrument i ON i.instrument = t.instrument
WHERE -t.taker_fee_micros <> 0
UNION ALL
SELECT t.seq, t.n, t.ts_us, utc_iso(t.ts_us), u.user_id, 'fee', i.instrument_id, -t.maker_fee_micros,
       -t.maker_fee_micros / 1e6
FROM trade t JOIN user u ON u.user = t.maker JOIN instrument i ON i.instrument = t.instrument
WHERE -t.maker_fee_micros <> 0
UNION ALL
SELECT t.seq, t.n, t.ts_us, utc_iso(t.ts_us), u.user_id, 'fee', i.instrument_id,
       (t.taker_fee_micros + t.maker_fee_micros),
       (t.taker_fee_micros + t.maker_fee_micros) / 1e6
FROM trade t JOIN instrument i ON i.instrument = t.instrument JOIN user u
WHERE u.user_id = 'fees' AND (t.taker_fee_micros + t.maker_fee_micros) <> 0
UNION ALL
SELECT s.seq, s.n, c.ts_us, utc_iso(c.ts_us), u.user_id, 'settlement', i.instrument_id, s.payout_micros,
       s.payout_micros / 1e6
FROM position_settlement s JOIN command c ON c.seq = s.seq JOIN user u ON u.user = s.user
     JOIN instrument i ON i.instrument = s.instrument
WHERE s.payout_micros <> 0
UNION ALL
SELECT s.seq, s.n, c.ts_us, utc_iso(c.ts_us), u.user_id, 'fee', i.instrument_id, -s.fee_micros,
       -s.fee_micros / 1e6
FROM position_settlement s JOIN command c ON c.seq = s.seq JOIN user u ON u.user = s.user
     JOIN instrument i ON i.instrument = s.instrument
WHERE -s.fee_micros <> 0
UNION ALL
SELECT s.seq, s.n, c.ts_us, utc_iso(c.ts_us), u.user_id, 'fee', i.instrument_id, s.fee_micros,
       s.fee_micros / 1e6
FROM position_settlement s JOIN command c ON c.seq = s.seq JOIN instrument i ON i.instrument = s.instrument
     JOIN user u
WHERE u.user_id = 'fees' AND s.fee_micros <> 0
UNION ALL
SELECT s.seq, s.n, c.ts_us, utc_iso(c.ts_us), u.user_id, 'shortfall', NULL, s.amount_micros,
       s.amount_micros / 1e6
FROM shortfall s JOIN command c ON c.seq = s.seq JOIN user u ON u.user = s.user
WHERE s.amount_micros > 0
UNION ALL
SELECT s.seq, s.n, c.ts_us, utc_iso(c.ts_us), u.user_id, 'shortfall', NULL, -s.amount_micros,
       -s.amount_micros / 1e6
FROM shortfall s JOIN command c ON c.seq = s.seq JOIN user u
WHERE u.user_id = 'insurance' AND s.amount_micros > 0
UNION ALL
SELECT p.seq, p.n, c.ts_us, utc_iso(c.ts_us), u.user_id, p.reason, i.instrument_id, -p.amount_micros,
       -p.amount_micros / 1e6
FROM insurance_payment p JOIN command c ON c.seq = p.seq JOIN user u ON u.user = p.user
     LEFT JOIN instrument i ON i.instrument = p.instrument
WHERE p.amount_micros <> 0
UNION ALL
SELECT p.seq, p.n, c.ts_us, utc_iso(c.ts_us), u.user_id, p.reason, i.instrument_id, p.amount_micros,
       p.amount_micros / 1e6
FROM insurance_payment p JOIN command c ON c.seq = p.seq LEFT JOIN instrument i ON i.instrument = p.instrument
     JOIN user u
WHERE u.user_id = 'insurance' AND p.amount_micros <> 0
UNION ALL
SELECT t.seq, t.n, c.ts_us, utc_iso(c.ts_us), u.user_id, 'liquidation', i.instrument_id,
       t.quantity_milli * t.price_micros / 1000, t.quantity_milli * t.price_micros / 1000 / 1e6
FROM takeover t JOIN command c ON c.seq = t.seq JOIN user u ON u.user = t.user
     JOIN instrument i ON i.instrument = t.instrument
WHERE t.quantity_milli * t.price_micros / 1000 <> 0
UNION ALL
SELECT t.seq, t.n, c.ts_us, utc_iso(c.ts_us), u.user_id, 'liquidation', i.instrument_id,
       -(t.quantity_milli * t.price_micros / 1000), -(t.quantity_milli * t.price_micros / 1000) / 1e6
FROM takeover t JOIN command c ON c.seq = t.seq JOIN instrument i ON i.instrument = t.instrument JOIN user u
WHERE u.user_id = 'insurance' AND t.quantity_milli * t.price_micros / 1000 <> 0;

-- Deposits, withdrawals, resets and starting cash: the movements of cash into and out of the exchange.
CREATE VIEW payments AS
SELECT p.seq, p.n, c.ts_us, utc_iso(c.ts_us) AS time, u.user_id, p.reason, p.amount_micros, p.amount_micros / 1e6 AS amount
FROM payment p JOIN command c ON c.seq = p.seq JOIN user u ON u.user = p.user;

-- The sums of `cash_flows` by user and reason. Purchases of liquidations are few: they are taken out of the sums of trades.
CREATE VIEW cash_totals AS
WITH taken AS (
    SELECT taker AS user, sum(price_micros * size_milli >= 1000) AS times,
           sum(iif(taker_side = 'bid', -1, 1) * (price_micros * size_milli / 1000)) AS amount_micros,
           sum(taker_fee_micros <> 0) AS fee_times, -sum(taker_fee_micros) AS fee_micros
    FROM trade GROUP BY taker
), made AS (
    SELECT maker AS user, sum(price_micros * size_milli >= 1000) AS times,
           sum(iif(taker_side = 'bid', 1, -1) * (price_micros * size_milli / 1000)) AS amount_micros,
           sum(maker_fee_micros <> 0) AS fee_times, -sum(maker_fee_micros) AS fee_micros
    FROM trade GROUP BY maker
), liquidated AS (
    SELECT t.taker AS user, sum(t.price_micros * t.size_milli >= 1000) AS times,
           sum(iif(t.taker_side = 'bid', -1, 1) * (t.price_micros * t.size_milli / 1000)) AS amount_micros
    FROM liquidation l CROSS JOIN trade t ON t.seq = l.seq AND t.taker = l.user
         CROSS JOIN book_order o ON o.order_id = t.taker_order_id
    WHERE o.liquidation GROUP BY t.taker
), moved (user, reason, times, amount_micros) AS (
    SELECT user, reason, 1, amount_micros FROM payment WHERE amount_micros <> 0
    UNION ALL SELECT user, 'trade', times, amount_micros FROM taken
    UNION ALL SELECT user, 'trade', times, amount_micros FROM made
    UNION ALL SELECT user, 'trade', -times, -amount_micros FROM liquidated
    UNION ALL SELECT user, 'liquidation', times, amount_micros FROM liquidated
    UNION ALL SELECT user, 'fee', fee_times, fee_micros FROM taken
    UNION ALL SELECT user, 'fee', fee_times, fee_micros FROM made
    UNION ALL SELECT u.user, 'fee', sum(taker_fee_micros + maker_fee_micros <> 0), sum(taker_fee_micros + maker_fee_micros)
              FROM user u JOIN trade WHERE u.user_id = 'fees' GROUP BY u.user
    UNION ALL SELECT user, 'settlement', 1, payout_micros FROM position_settlement WHERE payout_micros <> 0
    UNION ALL SELECT user, 'fee', 1, -fee_micros FROM position_settlement WHERE fee_micros <> 0
    UNION ALL SELECT u.user, 'fee', 1, s.fee_micros FROM user u JOIN position_settlement s
              WHERE u.user_id = 'fees' AND s.fee_micros <> 0
    UNION ALL SELECT user, 'shortfall', 1, amount_micros FROM shortfall WHERE amount_micros > 0
    UNION ALL SELECT u.user, 'shortfall', 1, -s.amount_micros FROM user u JOIN shortfall s
              WHERE u.user_id = 'insurance' AND s.amount_micros > 0
    UNION ALL SELECT user, reason, 1, -amount_micros FROM insurance_payment WHERE amount_micros <> 0
    UNION ALL SELECT u.user, p.reason, 1, p.amount_micros FROM user u JOIN insurance_payment p
              WHERE u.user_id = 'insurance' AND p.amount_micros <> 0
    UNION ALL SELECT user, 'liquidation', 1, quantity_milli * price_micros / 1000 FROM takeover
              WHERE quantity_milli * price_micros / 1000 <> 0
    UNION ALL SELECT u.user, 'liquidation', 1, -(t.quantity_milli * t.price_micros / 1000) FROM user u JOIN takeover t
              WHERE u.user_id = 'insurance' AND t.quantity_milli * t.price_micros / 1000 <> 0
)
SELECT u.user_id, m.reason, sum(m.times) AS times, sum(m.amount_micros) AS amount_micros,
       sum(m.amount_micros) / 1e6 AS amount
FROM moved m JOIN user u ON u.user = m.user GROUP BY m.user, m.reason HAVING sum(m.times) <> 0;

-- The sums of `fills` by user and liquidity.
CREATE VIEW fill_totals AS
SELECT u.user_id, f.liquidity, f.fills, f.size_milli, f.paid_micros, f.received_micros, f.fee_micros,
       f.size_milli / 1e3 AS size, f.paid_micros / 1e6 AS paid, f.received_micros / 1e6 AS received, f.fee_micros / 1e6 AS fee
FROM (SELECT taker AS user, 'taker' AS liquidity, count(*) AS fills, sum(size_milli) AS size_milli,
             sum(iif(taker_side = 'bid', price_micros * size_milli / 1000, 0)) AS paid_micros,
             sum(iif(taker_side = 'ask', price_micros * size_milli / 1000, 0)) AS received_micros,
             sum(taker_fee_micros) AS fee_micros
      FROM trade GROUP BY taker
      UNION ALL
      SELECT maker, 'maker', count(*), sum(size_milli),
             sum(iif(taker_side = 'ask', price_micros * size_milli / 1000, 0)),
             sum(iif(taker_side = 'bid', price_micros * size_milli / 1000, 0)), sum(maker_fee_micros)
      FROM trade GROUP BY maker) f JOIN user u ON u.user = f.user;

-- Positions that are open or lock collateral for open asks. `quantity_milli` is negative for a short position. Settled
-- positions are left out. `as_of_seq` is the newest change of the size, of the open asks or of the margin rate.
CREATE VIEW positions AS
SELECT u.user_id, i.instrument_id, p.quantity_milli, short_margin(m.initial_nanos, p.uncovered_milli) AS locked_micros,
       iif(p.uncovered_milli > 0, max(p.seq, m.seq), p.seq) AS as_of_seq,
       p.quantity_milli / 1e3 AS quantity, short_margin(m.initial_nanos, p.uncovered_milli) / 1e6 AS locked
FROM instrument i CROSS JOIN position_key k ON k.instrument = i.instrument CROSS JOIN position_version p
     ON p.user = k.user AND p.instrument = k.instrument AND (p.seq, p.n) = (
         SELECT newest.seq, newest.n FROM position_version newest
         WHERE newest.user = k.user AND newest.instrument = k.instrument
         ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
     CROSS JOIN mark_version m ON m.instrument = k.instrument AND (m.seq, m.n) = (
         SELECT newest.seq, newest.n FROM mark_version newest
         WHERE newest.instrument = k.instrument ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
     JOIN user u ON u.user = k.user
WHERE i.delivery_price_micros IS NULL AND (p.quantity_milli <> 0 OR p.uncovered_milli <> 0);

-- The realised profit of every account, after fees, after each command that traded or settled one of its positions.
-- `quantity_milli` is what the position holds then, `realised_micros` its profit since it was opened, and
-- `account_realised_micros` that of the whole account.
CREATE VIEW profits AS
SELECT p.seq, c.ts_us, utc_iso(c.ts_us) AS time, u.user_id, i.instrument_id, p.basis_micros, p.realised_micros,
       p.account_realised_micros, p.realised_micros / 1e6 AS realised, p.account_realised_micros / 1e6 AS account_realised,
       coalesce((SELECT v.quantity_milli FROM position_version v WHERE v.user = p.user AND v.instrument = p.instrument
                 AND v.seq <= p.seq ORDER BY v.seq DESC, v.n DESC LIMIT 1), 0) AS quantity_milli,
       coalesce((SELECT v.quantity_milli FROM position_version v WHERE v.user = p.user AND v.instrument = p.instrument
                 AND v.seq <= p.seq ORDER BY v.seq DESC, v.n DESC LIMIT 1), 0) / 1e3 AS quantity
FROM profit_version p JOIN command c ON c.seq = p.seq JOIN user u ON u.user = p.user
     JOIN instrument i ON i.instrument = p.instrument;

-- Every option that was ever listed, with its state after the last command.
CREATE VIEW instruments AS
SELECT i.instrument_id, i.asset, i.option_type, i.strike_micros, i.expiration_s,
       strftime('%Y-%m-%dT%H:%M:%SZ', i.expiration_s, 'unixepoch') AS expiration, i.tick_micros, i.min_size_milli,
       i.state, i.created_seq, c.ts_us AS created_us, i.delivery_price_micros,
       i.strike_micros / 1e6 AS strike, i.tick_micros / 1e6 AS tick, i.min_size_milli / 1e3 AS min_size,
       i.delivery_price_micros / 1e6 AS delivery_price
FROM instrument i JOIN command c ON c.seq = i.created_seq;

-- Every run of the server. The view cannot tell whether the last run goes on; the lock file next to the journal can.
CREATE VIEW runs AS
WITH marked AS (
    SELECT seq, ts_us, kind, payload, lead(seq) OVER (ORDER BY seq) AS next_seq, lead(kind) OVER (ORDER BY seq) AS next_kind
    FROM command WHERE kind IN ('start_session', 'end_session')
), begun AS (
    SELECT row_number() OVER (ORDER BY seq) AS run, seq AS first_seq,
           CASE next_kind WHEN 'end_session' THEN next_seq WHEN 'start_session' THEN next_seq - 1
                ELSE (SELECT max(seq) FROM command) END AS last_seq,
           ts_us AS started_us, payload ->> '$.program_version' AS program_version,
           CASE next_kind WHEN 'end_session' THEN 'clean' WHEN 'start_session' THEN 'crashed'
                ELSE 'running or crashed' END AS ending
    FROM marked WHERE kind = 'start_session'
)
SELECT run, first_seq, last_seq, last_seq - first_seq + 1 AS commands,
       started_us, strftime('%Y-%m-%dT%H:%M:%SZ', started_us / 1000000, 'unixepoch') AS started,
       c.ts_us AS ended_us, strftime('%Y-%m-%dT%H:%M:%SZ', c.ts_us / 1000000, 'unixepoch') AS ended,
       program_version, ending
FROM begun JOIN command c ON c.seq = last_seq;

-- The runs under their old name.
CREATE VIEW sessions AS
SELECT run AS session, first_seq, last_seq, commands, started_us, started, ended_us, ended, program_version, ending
FROM runs;

-- Every index price. The time is that of the command, which has an index by time.
CREATE VIEW index_prices AS
SELECT p.seq, c.ts_us, utc_iso(c.ts_us) AS time, p.asset, p.price_micros, p.forced, p.price_micros / 1e6 AS price
FROM index_price p JOIN command c ON c.seq = p.seq;

-- Every smile of the volatility surface that marks follow, in the order of (seq, n). It is valid until the next one of the
-- same asset and expiration.
CREATE VIEW mark_surfaces AS
SELECT s.seq, c.ts_us, utc_iso(c.ts_us) AS time, s.n, s.asset, s.expiration_s, s.level_ppm, s.skew_ppm, s.curvature_ppm
FROM smile_version s JOIN command c ON c.seq = s.seq;

-- Every mark price, in the order of (seq, n). It is valid until the next one of the same instrument.
CREATE VIEW marks AS
SELECT m.seq, m.n, c.ts_us, utc_iso(c.ts_us) AS time, i.asset, i.instrument_id, m.mark_micros, m.mark_micros / 1e6 AS mark
FROM mark_version m JOIN command c ON c.seq = m.seq JOIN instrument i ON i.instrument = m.instrument
WHERE m.mark_micros IS NOT NULL AND m.n >= 0;

-- Best bid and best ask of an instrument after each command that changed them or their sizes.
CREATE VIEW quotes AS
SELECT q.seq, c.ts_us, utc_iso(c.ts_us) AS time, i.instrument_id, q.bid_micros, q.bid_size_milli, q.ask_micros,
       q.ask_size_milli, q.ask_micros - q.bid_micros AS spread_micros,
       q.bid_micros / 1e6 AS bid, q.ask_micros / 1e6 AS ask, (q.ask_micros - q.bid_micros) / 1e6 AS spread
FROM quote_version q JOIN command c ON c.seq = q.seq JOIN instrument i ON i.instrument = q.instrument;

-- Open, high, low, close and volume of every instrument by intervals of a minute, 5 minutes, an hour and a day.
-- Intervals without trades are left out. The groups name the instrument by its text: SQLite then finds the trades of one
-- instrument by their index.
CREATE VIEW candles AS
WITH resolution (resolution_s) AS (VALUES (60), (300), (3600), (86400)), whole AS (
    SELECT i.instrument_id, r.resolution_s, t.ts_us / (r.resolution_s * 1000000) AS interval,
           min(t.trade_id) AS first_id, max(t.trade_id) AS last_id, max(t.price_micros) AS high_micros,
           min(t.price_micros) AS low_micros, sum(t.size_milli) AS volume_milli,
           sum(t.price_micros * t.size_milli / 1000) AS cost_micros, count(*) AS trades
    FROM trade t JOIN instrument i ON i.instrument = t.instrument JOIN resolution r
    GROUP BY i.instrument_id, r.resolution_s, interval
)
SELECT w.instrument_id, w.resolution_s, w.interval * w.resolution_s * 1000000 AS ts_us,
       strftime('%Y-%m-%dT%H:%M:%SZ', w.interval * w.resolution_s, 'unixepoch') AS time,
       opened.price_micros AS open_micros, w.high_micros, w.low_micros, closed.price_micros AS close_micros,
       w.volume_milli, w.cost_micros, w.trades,
       opened.price_micros / 1e6 AS open, w.high_micros / 1e6 AS high, w.low_micros / 1e6 AS low,
       closed.price_micros / 1e6 AS close, w.volume_milli / 1e3 AS volume
FROM whole w JOIN trade opened ON opened.trade_id = w.first_id JOIN trade closed ON closed.trade_id = w.last_id;

-- Open, high, low and close of every index price, by the same intervals as `candles`.
CREATE VIEW index_candles AS
WITH resolution (resolution_s) AS (VALUES (60), (300), (3600), (86400)), whole AS (
    SELECT p.asset, r.resolution_s, p.ts_us / (r.resolution_s * 1000000) AS number, min(p.seq) AS first_seq,
           max(p.seq) AS last_seq, max(p.price_micros) AS high_micros, min(p.price_micros) AS low_micros,
           count(*) AS prices
    FROM index_price p, resolution r GROUP BY p.asset, r.resolution_s, number
)
SELECT w.asset, w.resolution_s, w.number * w.resolution_s * 1000000 AS ts_us,
       strftime('%Y-%m-%dT%H:%M:%SZ', w.number * w.resolution_s, 'unixepoch') AS time,
       opened.price_micros AS open_micros, w.high_micros, w.low_micros, closed.price_micros AS close_micros, w.prices,
       opened.price_micros / 1e6 AS open, w.high_micros / 1e6 AS high, w.low_micros / 1e6 AS low,
       closed.price_micros / 1e6 AS close
FROM whole w JOIN index_price opened ON opened.asset = w.asset AND opened.seq = w.first_seq
     JOIN index_price closed ON closed.asset = w.asset AND closed.seq = w.last_seq;

-- Every liquidation of an account, whose cash was below its maintenance margin: how many of its orders were cancelled,
-- the size of the orders that the exchange placed for it, the size that it bought and sold within the command, the size
-- that the insurance took over, and the fees: `fee_micros` of the trades, `insurance_fee_micros` for the insurance.
CREATE VIEW liquidations AS
SELECT l.seq, c.ts_us, utc_iso(c.ts_us) AS time, u.user_id, c.kind AS cause, l.cash_micros, l.maintenance_micros,
       l.orders_cancelled, l.wanted_milli, l.bought_milli, l.cost_micros, l.fee_micros,
       l.wanted_milli / 1e3 AS wanted, l.bought_milli / 1e3 AS bought, l.cost_micros / 1e6 AS cost,
       l.sold_milli, l.proceeds_micros, l.taken_over_milli, l.insurance_fee_micros,
       l.sold_milli / 1e3 AS sold, l.proceeds_micros / 1e6 AS proceeds, l.taken_over_milli / 1e3 AS taken_over
FROM liquidation l JOIN command c ON c.seq = l.seq JOIN user u ON u.user = l.user;

-- Every position that the insurance took over from a liquidated account; a negative quantity is a short.
CREATE VIEW takeovers AS
SELECT t.seq, t.n, c.ts_us, utc_iso(c.ts_us) AS time, u.user_id, i.instrument_id, t.quantity_milli, t.price_micros,
       t.quantity_milli / 1e3 AS quantity, t.price_micros / 1e6 AS price
FROM takeover t JOIN command c ON c.seq = t.seq JOIN user u ON u.user = t.user
     JOIN instrument i ON i.instrument = t.instrument;

-- Every share of a loss that the insurance did not pay: the winners of the settlement bore it in proportion to what they
-- had won. `loss_micros` is the sum of all shares of the settlement.
CREATE VIEW shared_losses AS
SELECT p.seq, p.n, c.ts_us, utc_iso(c.ts_us) AS time, u.user_id, p.amount_micros, p.won_micros,
       sum(p.amount_micros) OVER (PARTITION BY p.seq) AS loss_micros, p.amount_micros / 1e6 AS amount,
       p.won_micros / 1e6 AS won
FROM insurance_payment p JOIN command c ON c.seq = p.seq JOIN user u ON u.user = p.user
WHERE p.reason = 'shared_loss';

-- Every payment of the insurance for an account (positive), and every repayment (negative), with the debt after it.
CREATE VIEW debts AS
SELECT s.seq, s.n, c.ts_us, utc_iso(c.ts_us) AS time, u.user_id, s.amount_micros, s.shortfall_micros,
       s.amount_micros / 1e6 AS amount, s.shortfall_micros / 1e6 AS shortfall
FROM shortfall s JOIN command c ON c.seq = s.seq JOIN user u ON u.user = s.user;

-- The delivery price of each settled series. `cause` is end_day if the exchange settled it at the end of the day, or
-- settle_series if the administrator did. In that case the series had waited since `delayed_seq`.
CREATE VIEW delivery_prices AS
SELECT s.asset, s.expiration_s, strftime('%Y-%m-%dT%H:%M:%SZ', s.expiration_s, 'unixepoch') AS expiration,
       s.delivery_price_micros, s.seq, c.ts_us, utc_iso(c.ts_us) AS time, c.kind AS cause,
       (SELECT min(d.seq) FROM series_settlement d WHERE d.asset = s.asset AND d.expiration_s = s.expiration_s
                                                     AND d.delivery_price_micros IS NULL) AS delayed_seq,
       s.delivery_price_micros / 1e6 AS delivery_price
FROM series_settlement s JOIN command c ON c.seq = s.seq WHERE s.delivery_price_micros IS NOT NULL;

-- Every position that was settled. `intrinsic_micros` is the value of one contract at the delivery price; the payout is
-- this value times the quantity, so it is negative for a short position.
CREATE VIEW settlements AS
SELECT s.seq, s.n, c.ts_us, utc_iso(c.ts_us) AS time, u.user_id, i.instrument_id, s.quantity_milli,
       i.delivery_price_micros, s.payout_micros, s.fee_micros, i.option_type, i.strike_micros,
       max(iif(i.option_type = 'call', 1, -1) * (i.delivery_price_micros - i.strike_micros), 0) AS intrinsic_micros,
       s.quantity_milli / 1e3 AS quantity, s.payout_micros / 1e6 AS payout, s.fee_micros / 1e6 AS fee
FROM position_settlement s JOIN command c ON c.seq = s.seq JOIN user u ON u.user = s.user
     JOIN instrument i ON i.instrument = s.instrument;

-- Every set of rules as JSON, in force from `seq` to `last_seq` (NULL: still in force). `changed` has the rules that
-- differ from the set before, with their new values, by the names of `exchange admin rules`; null: the rule is gone.
CREATE VIEW rules_history AS
WITH ruled AS (
    SELECT seq, value -> '$.rules' AS rules, coalesce(value ->> '$.rules_version', 1) AS rules_version
    FROM setting_version WHERE subject = 'rules'
), ordered AS (
    SELECT seq, lead(seq) OVER (ORDER BY seq) - 1 AS last_seq, rules, lag(seq) OVER (ORDER BY seq) AS previous_seq,
           rules_version
    FROM ruled
), named AS MATERIALIZED (
    SELECT seq, rule.atom AS value, iif(rule.path GLOB '*series[[]*',
           'market.series.' || json_extract(rules, rule.path || '.asset') || '.' || rule.key,
           replace(substr(rule.fullkey, 3), '"', '')) AS name
    FROM ruled, json_tree(rules) rule
    WHERE rule.atom IS NOT NULL AND NOT (rule.path GLOB '*series[[]*' AND rule.key = 'asset')
)
SELECT ordered.seq, last_seq, c.ts_us, utc_iso(c.ts_us) AS time, c.kind AS cause, rules,
       iif(previous_seq IS NULL, NULL,
           (SELECT json_group_object(name, value) FROM (
                SELECT name, value FROM named WHERE named.seq = ordered.seq
                EXCEPT SELECT name, value FROM named WHERE named.seq = previous_seq
                UNION ALL
                SELECT * FROM (
                    SELECT name, NULL FROM named WHERE named.seq = previous_seq
                    EXCEPT SELECT name, NULL FROM named WHERE named.seq = ordered.seq)))) AS changed,
       rules_version
FROM ordered JOIN command c USING (seq);

-- How long answers took: from the arrival of the last command of a batch until the answers of the batch had left.
CREATE VIEW answer_latency AS
SELECT a.seq, c.ts_us, utc_iso(c.ts_us) AS time, a.answered_us, a.answered_us - c.ts_us AS latency_us
FROM answer a JOIN command c ON c.seq = a.seq;
