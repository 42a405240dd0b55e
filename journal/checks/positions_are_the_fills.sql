-- A position is the sum of its fills and of what the insurance took over, until it is settled. (Checked if the first
-- command is here.)
WITH moves (user_id, instrument_id, quantity_milli) AS (
    SELECT user_id, instrument_id, iif(side = 'bid', size_milli, -size_milli) FROM fills
    UNION ALL
    SELECT user_id, instrument_id, -quantity_milli FROM takeovers
    UNION ALL
    SELECT 'insurance', instrument_id, quantity_milli FROM takeovers
    UNION ALL
    SELECT user_id, instrument_id, -quantity_milli FROM settlements
), moved AS (
    SELECT user_id, instrument_id, sum(quantity_milli) AS moved_milli FROM moves GROUP BY user_id, instrument_id
)
SELECT user_id, instrument_id, moved_milli, quantity_milli
FROM moved LEFT JOIN positions USING (user_id, instrument_id)
WHERE moved_milli <> coalesce(quantity_milli, 0) AND (SELECT min(seq) FROM commands) = 1;
