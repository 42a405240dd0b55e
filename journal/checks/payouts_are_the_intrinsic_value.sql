-- A payout is what the contracts are worth at the delivery price, and only who is paid pays a fee, out of that.
SELECT seq, user_id, instrument_id, quantity_milli, delivery_price_micros, payout_micros, fee_micros FROM settlements
WHERE payout_micros * 1000 <> intrinsic_micros * quantity_milli
   OR fee_micros < 0 OR fee_micros > max(payout_micros, 0);
