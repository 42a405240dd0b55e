-- Order ids rise without a gap, in the order in which orders and trigger orders were placed. (If the first commands are
-- missing, the history begins with one that stands for all of them: only open orders of before are known.)
SELECT placed_seq, order_id, previous
FROM (SELECT placed_seq, order_id, lag(order_id) OVER (ORDER BY placed_seq, order_id) AS previous
      FROM (SELECT placed_seq, order_id FROM orders UNION ALL SELECT placed_seq, order_id FROM trigger_orders)
      WHERE placed_seq > (SELECT min(seq) FROM commands))
WHERE order_id <> previous + 1;
