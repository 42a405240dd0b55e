-- A payout is the intrinsic value at the delivery price times the quantity. If that is not a whole number of micros, the
-- payouts of an instrument are rounded so that they sum to zero: each by less than two micros. Only an account that
-- receives a payout pays a fee, at most the payout.
SELECT seq, user_id, instrument_id, quantity_milli, delivery_price_micros, payout_micros, fee_micros FROM settlements
WHERE abs(payout_micros * 1000 - intrinsic_micros * quantity_milli) >= iif(delivery_price_micros % 1000, 2000, 1)
   OR fee_micros < 0 OR fee_micros > max(payout_micros, 0);
