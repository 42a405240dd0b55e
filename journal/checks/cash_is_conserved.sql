-- All cash together is what came in less what went out: trading and fees only move it. (Where history is here in full.)
WITH paid AS (
    SELECT coalesce(sum(CASE kind WHEN 'withdraw' THEN -amount_micros ELSE amount_micros END), 0) AS paid_in_micros
    FROM commands_decoded WHERE outcome = 'done' AND kind IN ('open_account', 'deposit', 'withdraw')
), held AS (
    SELECT coalesce(sum(cash_micros), 0) AS held_micros FROM balances
)
SELECT paid_in_micros, held_micros FROM paid, held
WHERE paid_in_micros <> held_micros AND (SELECT min(seq) FROM commands) = 1;
