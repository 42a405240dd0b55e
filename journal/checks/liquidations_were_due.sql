-- An account is liquidated at most once in a command, only if its cash is below its maintenance margin, and only if it
-- has orders to cancel or positions to reduce, or if the insurance pays for it.
SELECT l.seq, l.user_id, cash_micros, maintenance_micros, orders_cancelled, wanted_milli, count(*) AS times
FROM liquidations l GROUP BY l.seq, l.user_id
HAVING cash_micros >= maintenance_micros OR user_id = 'insurance' OR count(*) > 1
    OR (orders_cancelled + wanted_milli + taken_over_milli = 0
        AND NOT EXISTS (SELECT 1 FROM debts d WHERE d.seq = l.seq AND d.user_id = l.user_id));
