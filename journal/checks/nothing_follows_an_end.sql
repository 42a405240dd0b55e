-- Nothing changes an order after it is cancelled or filled.
WITH ends AS (
    SELECT order_id, min(seq * 1000000 + n) AS ended FROM order_history
    WHERE change = 'cancelled' OR (change = 'filled' AND remaining_milli = 0) GROUP BY order_id
)
SELECT h.order_id, h.seq, h.n, h.change FROM order_history h JOIN ends USING (order_id)
WHERE h.seq * 1000000 + h.n > ended AND h.change <> 'repeated';
