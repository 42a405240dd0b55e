-- Trade ids rise without a gap, in the order of the trades.
SELECT seq, trade_id, previous
FROM (SELECT seq, trade_id, lag(trade_id) OVER (ORDER BY seq, trade_id) AS previous FROM trades)
WHERE trade_id <> previous + 1;
