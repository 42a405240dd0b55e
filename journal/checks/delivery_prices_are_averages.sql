-- A series that settles at the end of the day does so at the average index price of its last 30 minutes. Each price
-- counts for the time that it was valid; the average is rounded half up to the micro, by rules version 1 to the smallest
-- tick. (Checked if the first command is here.)
WITH series AS MATERIALIZED (
    SELECT d.seq, d.asset, d.expiration_s, d.delivery_price_micros, d.expiration_s * 1000000 AS end_us,
           (d.expiration_s - 1800) * 1000000 AS begin_us, iif((SELECT r.rules_version FROM rules_history r WHERE r.seq <= d.seq ORDER BY r.seq DESC LIMIT 1) = 1,
               min(i.tick_micros), 1) AS tick_micros
    FROM delivery_prices d JOIN instruments i USING (asset, expiration_s)
    WHERE d.cause = 'end_day' GROUP BY d.seq, d.asset, d.expiration_s
), prices AS MATERIALIZED (
    SELECT asset, price_micros, ts_us,
           lead(ts_us, 1, 9000000000000000) OVER (PARTITION BY asset ORDER BY ts_us) AS until_us
    FROM index_prices
), held AS (
    SELECT series.*, price_micros, min(until_us, end_us) - max(ts_us, begin_us) AS held_us
    FROM series LEFT JOIN prices ON prices.asset = series.asset AND ts_us < end_us AND until_us > begin_us
), sums AS (
    -- Whole USDC and the remaining micros apart: a price in micros times microseconds may not fit into 64 bits.
    SELECT seq, asset, expiration_s, delivery_price_micros, tick_micros, sum(held_us) AS held_us,
           sum(price_micros / 1000000 * held_us) AS usdc, sum(price_micros % 1000000 * held_us) AS micros
    FROM held GROUP BY seq, asset, expiration_s
), averages AS (
    SELECT *, usdc / held_us * 1000000
              + (2 * (usdc % held_us * 1000000 + micros) + iif(tick_micros = 1, held_us, 0)) / (2 * held_us)
              AS average_micros FROM sums
)
SELECT seq, asset, expiration_s, delivery_price_micros, average_micros FROM averages
WHERE delivery_price_micros IS NOT (average_micros + tick_micros / 2) / tick_micros * tick_micros
  AND (SELECT min(seq) FROM commands) = 1;
