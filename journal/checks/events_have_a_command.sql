-- Every event belongs to a recorded command.
SELECT e.seq, e.n FROM events e LEFT JOIN commands c USING (seq) WHERE c.seq IS NULL;
