-- The winners of a settlement bear its loss in proportion to what each of them won, rounded to the micro, and at most all
-- that they won. The insurance pays at least this loss in the same command: for other accounts, and for its own positions.
WITH won AS (
    SELECT seq, user_id, amount_micros, won_micros, loss_micros, sum(won_micros) OVER (PARTITION BY seq) AS all_micros
    FROM shared_losses
)
SELECT seq, user_id, amount_micros, won_micros, loss_micros, all_micros FROM won
WHERE amount_micros > won_micros
   OR loss_micros > (SELECT coalesce(sum(d.amount_micros), 0) FROM debts d WHERE d.seq = won.seq AND d.amount_micros > 0)
      + max(0, (SELECT coalesce(sum(s.fee_micros - s.payout_micros), 0) FROM settlements s
                WHERE s.seq = won.seq AND s.user_id = 'insurance'))
   -- In floating point, because the product may not fit into 64 bits.
   OR abs(amount_micros - 1.0 * loss_micros / all_micros * won_micros) >= 1 + amount_micros / 1e9;
