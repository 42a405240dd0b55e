-- The tables of the history: what the commands of a journal did, in typed columns, derived from the journal alone.
--
-- Tables have singular names and hold integer keys: `user` and `instrument` are the keys of the tables of these names.
-- The views in views.sql have plural names and show the texts. Prices and cash are in micros of USDC, sizes in
-- millicontracts, times in microseconds since the epoch. (seq, n) is the n-th event of command seq.
--
-- A table that ends in `_version` holds every state that something was in: a row is valid from its (seq, n) until the
-- next row of the same key. The newest row up to a seq is therefore the state after that command.

-- `application_id` is 'EXH1'.
PRAGMA application_id = 1163413553;

-- Users in the order in which the journal names them first. `opened_seq` is NULL if the user never had an account.
CREATE TABLE user (
    user       INTEGER PRIMARY KEY,
    user_id    TEXT NOT NULL UNIQUE,
    opened_seq INTEGER
) STRICT;

-- Instruments in the order in which the journal names them first. `created_seq` is NULL if it was never listed; `number`
-- counts the listed ones.
CREATE TABLE instrument (
    instrument            INTEGER PRIMARY KEY,
    instrument_id         TEXT NOT NULL UNIQUE,
    asset                 TEXT,
    option_type           TEXT,
    strike_micros         INTEGER,
    expiration_s          INTEGER,
    tick_micros           INTEGER,
    min_size_milli        INTEGER,
    created_seq           INTEGER,
    number                INTEGER,
    state                 TEXT,
    delivery_price_micros INTEGER
) STRICT;
CREATE INDEX instrument_by_asset ON instrument (asset, expiration_s);
CREATE INDEX instrument_by_seq ON instrument (created_seq);

-- Every command of the journal, with its outcome: done, repeated (the same order was sent again) or refused.
-- `order_id` is the order that the command placed or named. `payload` is NULL if the view `commands` makes the JSON from the
-- other columns and from the row of the order or the index price.
CREATE TABLE command (
    seq        INTEGER PRIMARY KEY,
    ts_us      INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    user       INTEGER REFERENCES user,
    instrument INTEGER REFERENCES instrument,
    order_id   INTEGER,
    outcome    TEXT NOT NULL,
    reason     TEXT,
    payload    TEXT,
    hash       BLOB NOT NULL
) STRICT;
CREATE INDEX command_by_time ON command (ts_us);
CREATE INDEX command_by_user ON command (user);
CREATE INDEX command_by_instrument ON command (instrument) WHERE instrument IS NOT NULL;
CREATE INDEX command_by_order ON command (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX command_refused ON command (reason) WHERE outcome = 'refused';
-- Refused edits and cancellations that named their order by its client_order_id.
CREATE INDEX command_refused_by_name ON command (payload ->> '$.client_order_id', user)
    WHERE outcome = 'refused' AND order_id IS NULL AND kind IN ('edit_order', 'cancel_order');
CREATE INDEX command_of_run ON command (seq) WHERE kind IN ('start_session', 'end_session');
-- Rare commands that the timeline marks.
CREATE INDEX command_of_pause ON command (seq)
    WHERE kind IN ('pause_instrument', 'resume_instrument', 'pause_series', 'resume_series');
CREATE INDEX command_of_loss ON command (seq) WHERE kind = 'lost';
CREATE INDEX command_of_rules ON command (seq) WHERE kind = 'change_rules';

CREATE TABLE event_kind (
    kind INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- The events of every command, in order. `ref` is the order, or the trade of a trade. The other values of an event are
-- in the table of its kind, and the view `events` shows the event as JSON. Rare kinds have their JSON in `payload`.
CREATE TABLE event (
    seq        INTEGER NOT NULL REFERENCES command,
    n          INTEGER NOT NULL,
    kind       INTEGER NOT NULL REFERENCES event_kind (kind),
    user       INTEGER REFERENCES user,
    instrument INTEGER REFERENCES instrument,
    ref        INTEGER,
    payload    TEXT,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;

-- Every order: its terms when it was placed, and its state after the last command.
CREATE TABLE book_order (
    order_id            INTEGER PRIMARY KEY,
    user                INTEGER NOT NULL REFERENCES user,
    instrument          INTEGER NOT NULL REFERENCES instrument,
    client_order_id     TEXT,
    side                TEXT NOT NULL,
    type                TEXT NOT NULL,
    time_in_force       TEXT NOT NULL,
    post_only           INTEGER NOT NULL,
    reduce_only         INTEGER NOT NULL,
    liquidation         INTEGER NOT NULL,
    label               TEXT,
    trigger_order_id    INTEGER,
    placed_seq          INTEGER NOT NULL REFERENCES command,
    placed_price_micros INTEGER,
    placed_size_milli   INTEGER NOT NULL,
    price_micros        INTEGER,
    size_milli          INTEGER NOT NULL,
    filled_milli        INTEGER NOT NULL,
    cost_micros         INTEGER NOT NULL,
    fee_micros          INTEGER NOT NULL,
    status              TEXT NOT NULL,
    cancel_reason       TEXT,
    updated_seq         INTEGER NOT NULL
) STRICT;
CREATE INDEX book_order_by_user ON book_order (user, instrument);
CREATE INDEX book_order_by_instrument ON book_order (instrument);
CREATE INDEX book_order_by_seq ON book_order (placed_seq);
CREATE INDEX book_order_by_name ON book_order (client_order_id, user) WHERE client_order_id IS NOT NULL;
CREATE INDEX book_order_by_label ON book_order (label, user) WHERE label IS NOT NULL;
CREATE INDEX book_order_of_trigger ON book_order (trigger_order_id) WHERE trigger_order_id IS NOT NULL;
CREATE INDEX book_order_open ON book_order (user, instrument) WHERE status IN ('open', 'partially_filled');
CREATE INDEX book_order_finished ON book_order (user, updated_seq) WHERE status IN ('filled', 'cancelled');

-- Every trigger order: its terms when it was placed. `reference_micros` is the price that it waits for, as it was then.
CREATE TABLE trigger_order (
    order_id         INTEGER PRIMARY KEY,
    user             INTEGER NOT NULL REFERENCES user,
    instrument       INTEGER NOT NULL REFERENCES instrument,
    client_order_id  TEXT,
    label            TEXT,
    side             TEXT NOT NULL,
    type             TEXT NOT NULL,
    trigger          TEXT,
    time_in_force    TEXT NOT NULL,
    post_only        INTEGER NOT NULL,
    reduce_only      INTEGER NOT NULL,
    reference_micros INTEGER,
    placed_seq       INTEGER NOT NULL REFERENCES command
) STRICT;
CREATE INDEX trigger_order_by_user ON trigger_order (user, instrument);

-- Every state of a trigger order. `shown_micros` is the price that met it; `reason` is that of a cancellation or a refusal.
-- `primary_order_id` is the order whose fills it waits for, NULL once they were enough.
CREATE TABLE trigger_version (
    order_id              INTEGER NOT NULL REFERENCES trigger_order,
    seq                   INTEGER NOT NULL REFERENCES command,
    n                     INTEGER NOT NULL,
    status                TEXT NOT NULL,
    trigger_price_micros  INTEGER,
    trigger_offset_micros INTEGER,
    price_micros          INTEGER,
    size_milli            INTEGER NOT NULL,
    primary_order_id      INTEGER,
    shown_micros          INTEGER,
    reason                TEXT,
    PRIMARY KEY (order_id, seq, n)
) STRICT, WITHOUT ROWID;

-- The link of each linked order, of the parts of it, and of the orders that those placed. `order_ids` are those of the
-- command that linked them, as JSON, the primary first.
CREATE TABLE linked_order (
    order_id       INTEGER PRIMARY KEY,
    link           TEXT NOT NULL,
    fill_condition TEXT NOT NULL,
    order_ids      TEXT NOT NULL
) STRICT;

-- The MMP group, the quote set and the id of the mass quote of each quote, for every mass quote that placed or changed it.
CREATE TABLE quote_terms (
    order_id     INTEGER NOT NULL REFERENCES book_order,
    seq          INTEGER NOT NULL REFERENCES command,
    mmp_group    TEXT NOT NULL,
    quote_set_id TEXT,
    quote_id     TEXT NOT NULL,
    PRIMARY KEY (order_id, seq)
) STRICT, WITHOUT ROWID;

-- The limits of MMP groups. An interval of 0 removed the group.
CREATE TABLE mmp_config (
    seq                  INTEGER NOT NULL REFERENCES command,
    user                 INTEGER NOT NULL REFERENCES user,
    mmp_group            TEXT NOT NULL,
    asset                TEXT NOT NULL,
    interval_s           INTEGER NOT NULL,
    frozen_s             INTEGER NOT NULL,
    quantity_limit_milli INTEGER,
    delta_limit_milli    INTEGER,
    vega_limit_micros    INTEGER,
    PRIMARY KEY (user, seq, mmp_group)
) STRICT, WITHOUT ROWID;

-- The freezes of MMP groups with the sums of the interval, and the resets that ended them.
CREATE TABLE mmp_trigger (
    seq             INTEGER NOT NULL REFERENCES command,
    n               INTEGER NOT NULL,
    user            INTEGER NOT NULL REFERENCES user,
    mmp_group       TEXT NOT NULL,
    asset           TEXT,
    reached         TEXT,
    frozen_until_us INTEGER,
    quantity_milli  INTEGER,
    delta_milli     INTEGER,
    vega_micros     INTEGER,
    PRIMARY KEY (user, mmp_group, seq, n)
) STRICT, WITHOUT ROWID;

-- The life of every order. `cost_micros` and `fee_micros` are sums over its fills up to here; the filled size is
-- `size_milli - remaining_milli`. `kept_place` is NULL but for an edit.
CREATE TABLE order_version (
    order_id        INTEGER NOT NULL REFERENCES book_order,
    seq             INTEGER NOT NULL REFERENCES command,
    n               INTEGER NOT NULL,
    change          TEXT NOT NULL,
    price_micros    INTEGER,
    size_milli      INTEGER NOT NULL,
    remaining_milli INTEGER NOT NULL,
    cost_micros     INTEGER NOT NULL,
    fee_micros      INTEGER NOT NULL,
    kept_place      INTEGER,
    trade_id        INTEGER REFERENCES trade,
    reason          TEXT,
    PRIMARY KEY (order_id, seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX order_version_by_seq ON order_version (seq);
CREATE INDEX order_version_self_trade ON order_version (reason) WHERE reason = 'self_trade_prevention';

-- The part of each iceberg order that the book shows, `displayed_milli`; it is NULL for an untriggered order.
-- `refresh_milli` is the part that it shows at once. Other orders have no rows here.
CREATE TABLE iceberg_version (
    order_id        INTEGER NOT NULL,
    seq             INTEGER NOT NULL REFERENCES command,
    n               INTEGER NOT NULL,
    refresh_milli   INTEGER NOT NULL,
    displayed_milli INTEGER,
    PRIMARY KEY (order_id, seq, n)
) STRICT, WITHOUT ROWID;

-- The orders that were in a book after command `seq`, every now and then. With the versions of the orders that were
-- placed since, they give the books of any moment.
CREATE TABLE open_order_checkpoint (
    seq        INTEGER NOT NULL,
    instrument INTEGER NOT NULL REFERENCES instrument,
    order_id   INTEGER NOT NULL REFERENCES book_order,
    PRIMARY KEY (seq, instrument, order_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE trade (
    trade_id         INTEGER PRIMARY KEY,
    seq              INTEGER NOT NULL REFERENCES command,
    n                INTEGER NOT NULL,
    ts_us            INTEGER NOT NULL,
    instrument       INTEGER NOT NULL REFERENCES instrument,
    price_micros     INTEGER NOT NULL,
    size_milli       INTEGER NOT NULL,
    taker_side       TEXT NOT NULL,
    taker            INTEGER NOT NULL REFERENCES user,
    taker_order_id   INTEGER NOT NULL REFERENCES book_order,
    taker_fee_micros INTEGER NOT NULL,
    maker            INTEGER NOT NULL REFERENCES user,
    maker_order_id   INTEGER NOT NULL REFERENCES book_order,
    maker_fee_micros INTEGER NOT NULL
) STRICT;
CREATE INDEX trade_by_seq ON trade (seq);
CREATE INDEX trade_by_time ON trade (ts_us);
-- It has size and price too, so that the statistics of a day read the index alone.
CREATE INDEX trade_by_instrument ON trade (instrument, ts_us, trade_id, size_milli, price_micros);
CREATE INDEX trade_by_taker ON trade (taker);
CREATE INDEX trade_by_maker ON trade (maker);
CREATE INDEX trade_by_taker_order ON trade (taker_order_id);
CREATE INDEX trade_by_maker_order ON trade (maker_order_id);

-- The trades of the options on an asset and their size from the beginning of this history to the end of a block of 100
-- commands: seq / 100 = block. A block without trades on the asset has no row. The timeline reads differences of these sums,
-- so that it costs the same for a short and a long history.
CREATE TABLE trade_total (
    asset      TEXT NOT NULL,
    block      INTEGER NOT NULL,
    trades     INTEGER NOT NULL,
    size_milli INTEGER NOT NULL,
    PRIMARY KEY (asset, block)
) STRICT, WITHOUT ROWID;

-- Best bid and best ask of an instrument, whenever one of them or its size changed.
CREATE TABLE quote_version (
    instrument     INTEGER NOT NULL REFERENCES instrument,
    seq            INTEGER NOT NULL REFERENCES command,
    bid_micros     INTEGER,
    bid_size_milli INTEGER NOT NULL,
    ask_micros     INTEGER,
    ask_size_milli INTEGER NOT NULL,
    PRIMARY KEY (instrument, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX quote_version_by_seq ON quote_version (seq);

-- Why a balance changed; docs/sql.md explains the names.
CREATE TABLE balance_reason (
    reason INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE
) STRICT;

-- Cash, locks and maintenance margin of every account. `reason` is NULL where the account is opened.
CREATE TABLE balance_version (
    user               INTEGER NOT NULL REFERENCES user,
    seq                INTEGER NOT NULL REFERENCES command,
    n                  INTEGER NOT NULL,
    cash_micros        INTEGER NOT NULL,
    locked_micros      INTEGER NOT NULL,
    maintenance_micros INTEGER NOT NULL,
    reason             INTEGER REFERENCES balance_reason (reason),
    PRIMARY KEY (user, seq, n)
) STRICT, WITHOUT ROWID;

-- Deposits, withdrawals and starting cash.
CREATE TABLE payment (
    seq           INTEGER NOT NULL REFERENCES command,
    n             INTEGER NOT NULL,
    user          INTEGER NOT NULL REFERENCES user,
    reason        TEXT NOT NULL,
    amount_micros INTEGER NOT NULL,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_by_user ON payment (user);

-- Payments of the insurance for an account, and repayments (negative); `shortfall_micros` is the debt after each.
CREATE TABLE shortfall (
    seq              INTEGER NOT NULL REFERENCES command,
    n                INTEGER NOT NULL,
    user             INTEGER NOT NULL REFERENCES user,
    amount_micros    INTEGER NOT NULL,
    shortfall_micros INTEGER NOT NULL,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX shortfall_by_user ON shortfall (user, seq);

-- Payments of accounts to the insurance. `reason` is liquidation_fee, debt or shared_loss. For a shared loss, `won_micros`
-- is what the account had won in the settlement.
CREATE TABLE insurance_payment (
    seq           INTEGER NOT NULL REFERENCES command,
    n             INTEGER NOT NULL,
    user          INTEGER NOT NULL REFERENCES user,
    instrument    INTEGER REFERENCES instrument,
    reason        TEXT NOT NULL,
    amount_micros INTEGER NOT NULL,
    won_micros    INTEGER,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX insurance_payment_by_user ON insurance_payment (user, seq);

-- Positions that the insurance took over from an account; a negative quantity is a short.
CREATE TABLE takeover (
    seq            INTEGER NOT NULL REFERENCES command,
    n              INTEGER NOT NULL,
    user           INTEGER NOT NULL REFERENCES user,
    instrument     INTEGER NOT NULL REFERENCES instrument,
    quantity_milli INTEGER NOT NULL,
    price_micros   INTEGER NOT NULL,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX takeover_by_user ON takeover (user, seq);

-- The users who ever had a position in an instrument, or an order that locked collateral there.
CREATE TABLE position_key (
    user       INTEGER NOT NULL REFERENCES user,
    instrument INTEGER NOT NULL REFERENCES instrument,
    PRIMARY KEY (user, instrument)
) STRICT, WITHOUT ROWID;
CREATE INDEX position_key_by_instrument ON position_key (instrument, user);

-- Quantity (negative: short) of every position, and the contracts sold or offered beyond those owned: with the margin rate
-- of the instrument in `mark_version` they give the collateral. `n` is the number of the command's events if the contracts
-- need so little collateral that no event shows the change.
CREATE TABLE position_version (
    user            INTEGER NOT NULL REFERENCES user,
    instrument      INTEGER NOT NULL REFERENCES instrument,
    seq             INTEGER NOT NULL REFERENCES command,
    n               INTEGER NOT NULL,
    quantity_milli  INTEGER NOT NULL,
    uncovered_milli INTEGER NOT NULL,
    PRIMARY KEY (user, instrument, seq, n)
) STRICT, WITHOUT ROWID;

-- Cost and profit of every position after each command that traded or settled it. `basis_micros` is the cost of the
-- open quantity (short: the proceeds), `realised_micros` the profit since the position was opened, after fees, and
-- `account_realised_micros` the profit of the whole account since it was opened. The position `ended` if it holds nothing
-- after the command: the next one begins without profit.
CREATE TABLE profit_version (
    user                    INTEGER NOT NULL REFERENCES user,
    instrument              INTEGER NOT NULL REFERENCES instrument,
    seq                     INTEGER NOT NULL REFERENCES command,
    basis_micros            INTEGER NOT NULL,
    realised_micros         INTEGER NOT NULL,
    account_realised_micros INTEGER NOT NULL,
    ended                   INTEGER NOT NULL,
    PRIMARY KEY (user, instrument, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX profit_version_by_user ON profit_version (user, seq);
CREATE INDEX profit_version_by_seq ON profit_version (seq);

CREATE TABLE index_price (
    asset        TEXT NOT NULL,
    seq          INTEGER NOT NULL REFERENCES command,
    n            INTEGER NOT NULL,
    ts_us        INTEGER NOT NULL,
    price_micros INTEGER NOT NULL,
    forced       INTEGER NOT NULL,
    PRIMARY KEY (asset, seq)
) STRICT, WITHOUT ROWID;
-- Unique, so that SQLite skips a join whose columns nobody asks for.
CREATE UNIQUE INDEX index_price_by_seq ON index_price (seq, n);

-- Mark prices (NULL before the first index price, and from the delivery of the series on), and the initial margin of one
-- short contract in nanos, thousandths of a micro. `n` is -1 if new rules changed the margin and not the mark.
CREATE TABLE mark_version (
    instrument    INTEGER NOT NULL REFERENCES instrument,
    seq           INTEGER NOT NULL REFERENCES command,
    n             INTEGER NOT NULL,
    mark_micros   INTEGER,
    initial_nanos INTEGER,
    PRIMARY KEY (instrument, seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX mark_version_by_seq ON mark_version (seq);

-- Parameters of the smile of an expiration, in millionths (docs/market.md).
CREATE TABLE smile_version (
    asset         TEXT NOT NULL,
    expiration_s  INTEGER NOT NULL,
    seq           INTEGER NOT NULL REFERENCES command,
    n             INTEGER NOT NULL,
    level_ppm     INTEGER NOT NULL,
    skew_ppm      INTEGER NOT NULL,
    curvature_ppm INTEGER NOT NULL,
    PRIMARY KEY (asset, expiration_s, seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX smile_version_by_seq ON smile_version (seq);

-- States of instruments: open, paused or expired.
CREATE TABLE instrument_version (
    instrument INTEGER NOT NULL REFERENCES instrument,
    seq        INTEGER NOT NULL REFERENCES command,
    n          INTEGER NOT NULL,
    state      TEXT NOT NULL,
    PRIMARY KEY (instrument, seq, n)
) STRICT, WITHOUT ROWID;

-- Series that were settled, or whose settlement was delayed (`delivery_price_micros` is NULL).
CREATE TABLE series_settlement (
    seq                   INTEGER NOT NULL REFERENCES command,
    n                     INTEGER NOT NULL,
    asset                 TEXT NOT NULL,
    expiration_s          INTEGER NOT NULL,
    delivery_price_micros INTEGER,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX series_settlement_by_series ON series_settlement (asset, expiration_s);

-- Positions that were settled in cash.
CREATE TABLE position_settlement (
    seq            INTEGER NOT NULL REFERENCES command,
    n              INTEGER NOT NULL,
    user           INTEGER NOT NULL REFERENCES user,
    instrument     INTEGER NOT NULL REFERENCES instrument,
    quantity_milli INTEGER NOT NULL,
    payout_micros  INTEGER NOT NULL,
    fee_micros     INTEGER NOT NULL,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX position_settlement_by_user ON position_settlement (user, seq);
CREATE INDEX position_settlement_by_instrument ON position_settlement (instrument);

-- Liquidations, with all that they did within their command.
CREATE TABLE liquidation (
    seq                INTEGER NOT NULL REFERENCES command,
    user               INTEGER NOT NULL REFERENCES user,
    cash_micros        INTEGER NOT NULL,
    maintenance_micros INTEGER NOT NULL,
    orders_cancelled   INTEGER NOT NULL,
    wanted_milli       INTEGER NOT NULL,
    bought_milli       INTEGER NOT NULL,
    cost_micros        INTEGER NOT NULL,
    fee_micros         INTEGER NOT NULL,
    sold_milli         INTEGER NOT NULL,
    proceeds_micros    INTEGER NOT NULL,
    taken_over_milli   INTEGER NOT NULL,
    insurance_fee_micros INTEGER NOT NULL,
    PRIMARY KEY (seq, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX liquidation_by_user ON liquidation (user, seq);

-- Rules, halts, and the limits and suspensions of users, as the JSON of the events that set them. The phase in which an
-- asset reopens is the JSON of `post_only_began`: `until_us` is 0 until the next index price, and negative after it ended.
CREATE TABLE setting_version (
    subject TEXT NOT NULL,
    seq     INTEGER NOT NULL REFERENCES command,
    value   TEXT NOT NULL,
    PRIMARY KEY (subject, seq)
) STRICT, WITHOUT ROWID;

-- When the answers of a batch left; `seq` is the last command of the batch.
CREATE TABLE answer (
    seq         INTEGER PRIMARY KEY REFERENCES command,
    answered_us INTEGER NOT NULL
) STRICT;

-- Facts about this file. `alarm`: why the history ends before the journal, if an alarm of the follower ended it.
CREATE TABLE about (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
