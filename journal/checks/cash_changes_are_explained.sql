-- Each change of an account's cash is the sum of the deposits, trades, fees, payouts and shortfalls in the command. (If
-- the first commands are missing, the history begins with one that stands for all of them.)
WITH changes (seq, user_id, changed_micros, explained_micros) AS (
    SELECT seq, user_id, cash_change_micros, 0 FROM ledger
    UNION ALL
    SELECT seq, user_id, 0, amount_micros FROM cash_flows
)
SELECT seq, user_id, sum(changed_micros) AS changed_micros, sum(explained_micros) AS explained_micros FROM changes
WHERE seq = 1 OR seq > (SELECT min(seq) FROM commands)
GROUP BY seq, user_id HAVING sum(changed_micros) <> sum(explained_micros) AND count(*) = count(changed_micros);
