-- The payments of the insurance for an account sum to the shortfall of the account. (Checked if the first command is
-- here.)
WITH covered AS (
    SELECT seq, user_id, payload ->> '$.amount_micros' AS amount_micros,
           sum(payload ->> '$.amount_micros') OVER (PARTITION BY user_id ORDER BY seq, n) AS paid_micros,
           payload ->> '$.shortfall_micros' AS shortfall_micros
    FROM events WHERE kind = 'shortfall_covered'
)
SELECT seq, user_id, amount_micros, paid_micros, shortfall_micros FROM covered
WHERE (amount_micros <= 0 OR paid_micros <> shortfall_micros) AND (SELECT min(seq) FROM commands) = 1;
