-- The payments of the insurance for an account, less what the account repays, sum to the shortfall of the account, which
-- is never negative. (Checked if the first command is here.)
WITH paid AS (
    SELECT seq, user_id, amount_micros, shortfall_micros,
           sum(amount_micros) OVER (PARTITION BY user_id ORDER BY seq, n) AS paid_micros
    FROM debts
)
SELECT seq, user_id, amount_micros, paid_micros, shortfall_micros FROM paid
WHERE (amount_micros = 0 OR paid_micros <> shortfall_micros OR shortfall_micros < 0)
  AND (SELECT min(seq) FROM commands) = 1;
