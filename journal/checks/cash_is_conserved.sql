-- No command creates or loses cash: the cash of all accounts changes by starting cash, deposits and resets minus
-- withdrawals, to the micro.
WITH changes (seq, held_micros, paid_in_micros) AS (
    SELECT seq, cash_change_micros, 0 FROM ledger
    UNION ALL
    SELECT seq, 0, amount_micros FROM payments
)
SELECT seq, sum(paid_in_micros) AS paid_in_micros, sum(held_micros) AS held_micros FROM changes
GROUP BY seq HAVING sum(paid_in_micros) <> sum(held_micros) AND count(*) = count(held_micros);
