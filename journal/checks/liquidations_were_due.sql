-- An account is liquidated at most once in a command, only if its cash is below its maintenance margin, and only if it
-- has orders to cancel or shorts to buy back.
SELECT seq, user_id, cash_micros, maintenance_micros, orders_cancelled, wanted_milli, count(*) AS times
FROM liquidations GROUP BY seq, user_id
HAVING cash_micros >= maintenance_micros OR orders_cancelled + wanted_milli = 0
    OR user_id = 'insurance' OR count(*) > 1;
