-- In each command, the fees account receives the sum of the fees of all trades and settlements.
WITH charged (seq, fee_micros) AS (
    SELECT seq, fee_micros FROM fills
    UNION ALL
    SELECT seq, fee_micros FROM settlements
), changes (seq, charged_micros, received_micros) AS (
    SELECT seq, fee_micros, 0 FROM charged
    UNION ALL
    SELECT seq, 0, cash_change_micros FROM ledger WHERE user_id = 'fees' AND reason = 'fee'
)
SELECT seq, sum(charged_micros) AS charged_micros, sum(received_micros) AS received_micros FROM changes
GROUP BY seq HAVING sum(charged_micros) <> sum(received_micros) AND count(*) = count(received_micros);
