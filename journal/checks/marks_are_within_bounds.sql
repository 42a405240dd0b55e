-- A mark price is at least the intrinsic value, and at most the index price for a call or the strike for a put.
-- If rules have set a forward, it may be as far from the index as a forward can be, 20 %. (Checked if the first command
-- is here.)
WITH forwards (distance_ppm) AS (
    SELECT iif(EXISTS (SELECT 1 FROM rules_history WHERE rules -> '$.market.forwards' NOT IN ('null', '{}')), 200000, 0)
), moments (asset, seq, n, price_seq, instrument_id, mark_micros) AS (
    SELECT asset, seq, -1, seq, NULL, NULL FROM index_prices
    UNION ALL
    SELECT asset, seq, n, NULL, instrument_id, mark_micros FROM marks
), marked AS (
    SELECT *, max(price_seq) OVER (PARTITION BY asset ORDER BY seq, n) AS index_seq FROM moments
), priced AS (
    SELECT marked.seq, marked.instrument_id, mark_micros, price_micros, strike_micros, option_type = 'call' AS is_call,
           price_micros * (1000000 - distance_ppm) / 1000000 AS lowest_micros,
           price_micros * (1000000 + distance_ppm) / 1000000 AS highest_micros
    FROM marked, forwards LEFT JOIN index_prices p ON p.seq = index_seq
         LEFT JOIN instruments i ON i.instrument_id = marked.instrument_id
    WHERE mark_micros IS NOT NULL
)
SELECT seq, instrument_id, mark_micros, price_micros AS index_micros FROM priced
WHERE coalesce(mark_micros < max(iif(is_call, lowest_micros - strike_micros, strike_micros - highest_micros), 0)
               OR mark_micros > iif(is_call, highest_micros, strike_micros), 1)
  AND (SELECT min(seq) FROM commands) = 1;
