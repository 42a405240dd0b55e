-- Every command is later than the one before.
SELECT seq, ts_us, previous FROM (SELECT seq, ts_us, lag(ts_us) OVER (ORDER BY seq) AS previous FROM commands)
WHERE ts_us <= previous;
