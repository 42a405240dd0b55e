-- Nobody owes cash, and nobody has more locked than there is.
SELECT seq, user_id, cash_micros, locked_micros FROM ledger
WHERE cash_micros < 0 OR locked_micros < 0 OR locked_micros > cash_micros;
