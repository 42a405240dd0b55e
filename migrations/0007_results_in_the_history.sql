-- The results of the commands are in the history next to the journal, `exchange.history.db`, and so are their views.
-- journal/views.sql defines the views that stay here. The exchange writes no events any more; the table `events` keeps
-- those of earlier versions until `exchange journal shed-events` deletes them.
DROP VIEW IF EXISTS trades;
DROP VIEW IF EXISTS fills;
DROP VIEW IF EXISTS order_history;
DROP VIEW IF EXISTS orders;
DROP VIEW IF EXISTS open_orders;
DROP VIEW IF EXISTS balances;
DROP VIEW IF EXISTS ledger;
DROP VIEW IF EXISTS cash_flows;
DROP VIEW IF EXISTS positions;
DROP VIEW IF EXISTS instruments;
DROP VIEW IF EXISTS index_prices;
DROP VIEW IF EXISTS marks;
DROP VIEW IF EXISTS liquidations;
DROP VIEW IF EXISTS delivery_prices;
DROP VIEW IF EXISTS settlements;
DROP VIEW IF EXISTS rules_history;
