-- No command creates or loses cash: the cash of all accounts changes by starting cash and deposits minus withdrawals.
WITH changes (seq, held_micros, paid_in_micros) AS (
    SELECT seq, cash_change_micros, 0 FROM ledger
    UNION ALL
    SELECT seq, 0, CASE kind WHEN 'withdraw' THEN -amount_micros ELSE amount_micros END
    FROM commands_decoded WHERE outcome = 'done' AND kind IN ('open_account', 'deposit', 'withdraw')
)
SELECT seq, sum(paid_in_micros) AS paid_in_micros, sum(held_micros) AS held_micros FROM changes
GROUP BY seq HAVING sum(paid_in_micros) <> sum(held_micros) AND count(*) = count(held_micros);
