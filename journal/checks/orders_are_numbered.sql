-- Order ids rise without a gap, in the order in which the orders were placed.
SELECT placed_seq, order_id, previous
FROM (SELECT placed_seq, order_id, lag(order_id) OVER (ORDER BY placed_seq) AS previous FROM orders)
WHERE order_id <> previous + 1;
