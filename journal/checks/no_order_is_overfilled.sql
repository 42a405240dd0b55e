-- No order is filled beyond its size. An order that has ended is filled, or cancelled with a reason.
SELECT order_id, size_milli, filled_milli, status, cancel_reason FROM orders
WHERE filled_milli > size_milli OR (status = 'filled' AND filled_milli <> size_milli);
