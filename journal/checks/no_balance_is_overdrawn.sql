-- Under rules version 1, only the insurance account can owe cash. Only in a market can the locks of an account exceed its
-- cash, through margins.
WITH market AS MATERIALIZED (
    SELECT coalesce(min(seq), 9e18) AS first_seq,
           coalesce(min(iif(rules_version >= 2, seq, NULL)), 9e18) AS fair_seq
    FROM rules_history WHERE rules -> '$.market' IS NOT NULL
)
SELECT seq, user_id, cash_micros, locked_micros FROM ledger, market
WHERE (cash_micros < 0 AND user_id <> 'insurance' AND seq < fair_seq) OR locked_micros < 0
   OR (locked_micros > cash_micros AND seq < first_seq AND (SELECT min(seq) FROM commands) = 1);
