-- The views of a journal for everyone who opens it in an SQLite shell: its commands in columns, and the runs of the server.
-- Names, order and meaning of the columns are stable; docs/sql.md describes them.
--
-- The results of the commands (orders, trades, balances ...) are in the history, `exchange.history.db`, with views of its
-- own. A journal gets these views when it is opened for writing. They cost the running exchange nothing: they only read.
-- `utc_iso(us)` is a macro of this file: journal/views.py replaces it by an expression that every SQLite knows, so that
-- the views work in any SQLite shell. It is the time in UTC in ISO 8601 with microseconds, which sorts as text.

-- Every command with its fields in columns, without its outcome: the view of the same name in the history has that, too.
-- `order_id` is the order that the command named; an order gets its id when it is placed.
CREATE VIEW commands_decoded AS
SELECT seq, ts_us, utc_iso(ts_us) AS time, kind, user_id, instrument_id,
       payload ->> '$.order_id' AS order_id,
       payload ->> '$.client_order_id' AS client_order_id,
       payload ->> '$.side' AS side, payload ->> '$.type' AS type,
       payload ->> '$.time_in_force' AS time_in_force, payload ->> '$.post_only' AS post_only,
       payload ->> '$.price_micros' AS price_micros, payload ->> '$.size_milli' AS size_milli,
       coalesce(payload ->> '$.amount_micros', payload ->> '$.cash_micros') AS amount_micros,
       payload ->> '$.asset' AS asset, payload ->> '$.expiration_s' AS expiration_s,
       payload ->> '$.reduce_only' AS reduce_only, payload ->> '$.forced' AS forced,
       payload ->> '$.halted' AS halted, payload ->> '$.suspended' AS suspended,
       payload ->> '$.open_orders_max' AS open_orders_max,
       payload ->> '$.position_max_milli' AS position_max_milli, payload -> '$.rules' AS rules
FROM commands;

-- Every run of the server. The view cannot tell whether the last run goes on; the lock file next to the journal can.
CREATE VIEW runs AS
WITH marks AS (
    SELECT seq, ts_us, kind, payload,
           lead(seq) OVER (ORDER BY seq) AS next_seq, lead(kind) OVER (ORDER BY seq) AS next_kind
    FROM commands WHERE kind IN ('start_session', 'end_session')
), begun AS (
    SELECT row_number() OVER (ORDER BY seq) AS run, seq AS first_seq,
           CASE next_kind WHEN 'end_session' THEN next_seq WHEN 'start_session' THEN next_seq - 1
                ELSE (SELECT max(seq) FROM commands) END AS last_seq,
           ts_us AS started_us, payload ->> '$.program_version' AS program_version,
           CASE next_kind WHEN 'end_session' THEN 'clean' WHEN 'start_session' THEN 'crashed'
                ELSE 'running or crashed' END AS ending
    FROM marks WHERE kind = 'start_session'
)
SELECT run, first_seq, last_seq, last_seq - first_seq + 1 AS commands,
       started_us, strftime('%Y-%m-%dT%H:%M:%SZ', started_us / 1000000, 'unixepoch') AS started,
       c.ts_us AS ended_us, strftime('%Y-%m-%dT%H:%M:%SZ', c.ts_us / 1000000, 'unixepoch') AS ended,
       program_version, ending
FROM begun JOIN commands c ON c.seq = last_seq;

-- The runs under their old name.
CREATE VIEW sessions AS
SELECT run AS session, first_seq, last_seq, commands, started_us, started, ended_us, ended, program_version, ending
FROM runs;
