-- A trade is at the limit price of the maker, and never worse for the taker than its limit when the order was placed or
-- last edited.
WITH limits AS (
    SELECT order_id, seq, price_micros, lead(seq, 1, 9e18) OVER (PARTITION BY order_id ORDER BY seq) AS until_seq
    FROM order_history WHERE change IN ('placed', 'edited')
)
SELECT f.seq, f.trade_id, f.order_id, f.side, f.liquidity, f.price_micros, l.price_micros AS limit_micros
FROM fills f JOIN limits l ON l.order_id = f.order_id AND f.seq >= l.seq AND f.seq < l.until_seq
WHERE (f.liquidity = 'maker' AND f.price_micros <> l.price_micros)
   OR (f.side = 'bid' AND f.price_micros > l.price_micros) OR (f.side = 'ask' AND f.price_micros < l.price_micros);
