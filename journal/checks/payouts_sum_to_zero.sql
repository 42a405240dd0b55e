-- The payouts of a settlement sum to zero, and so do the settled quantities.
SELECT seq, instrument_id, sum(quantity_milli) AS quantity_milli, sum(payout_micros) AS payout_micros FROM settlements
GROUP BY seq, instrument_id HAVING sum(quantity_milli) <> 0 OR sum(payout_micros) <> 0;
