-- A position is what its fills add up to. (Where history is here in full.)
WITH bought AS (
    SELECT user_id, instrument_id, sum(iif(side = 'bid', size_milli, -size_milli)) AS filled_milli
    FROM fills GROUP BY user_id, instrument_id
)
SELECT user_id, instrument_id, filled_milli, quantity_milli
FROM bought LEFT JOIN positions USING (user_id, instrument_id)
WHERE filled_milli <> coalesce(quantity_milli, 0) AND (SELECT min(seq) FROM commands) = 1;
