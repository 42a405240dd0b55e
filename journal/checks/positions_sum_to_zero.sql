-- What some are long in an instrument, others are short. (Where history is here in full.)
SELECT instrument_id, sum(quantity_milli) AS sum_milli FROM positions
WHERE (SELECT min(seq) FROM commands) = 1 GROUP BY instrument_id HAVING sum_milli <> 0;
