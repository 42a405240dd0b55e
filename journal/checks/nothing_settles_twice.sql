-- A series has one delivery price, a position is settled once, and the instrument does not trade afterwards.
WITH settled AS MATERIALIZED (
    SELECT instrument_id, min(seq) AS settled_seq FROM settlements GROUP BY instrument_id
)
SELECT max(seq) AS seq, asset || ' ' || expiration AS what, count(*) AS times
FROM delivery_prices GROUP BY asset, expiration_s HAVING count(*) > 1
UNION ALL
SELECT max(seq), user_id || ' ' || instrument_id, count(*)
FROM (SELECT DISTINCT seq, n, user_id, instrument_id FROM settlements)
GROUP BY user_id, instrument_id HAVING count(*) > 1
UNION ALL
SELECT seq, 'trade ' || trade_id, 1 FROM trades JOIN settled USING (instrument_id) WHERE seq >= settled_seq;
