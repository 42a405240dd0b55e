-- The long and short positions in an instrument sum to zero. (Checked if the first command is here.)
SELECT instrument_id, sum(quantity_milli) AS sum_milli FROM positions
WHERE (SELECT min(seq) FROM commands) = 1 GROUP BY instrument_id HAVING sum_milli <> 0;
