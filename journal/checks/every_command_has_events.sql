-- Every command has events, numbered from 0 without a gap. The events of the last commands may not be recorded yet.
SELECT c.seq, count(e.n) AS events, max(e.n) AS last_n
FROM commands c LEFT JOIN events e USING (seq)
WHERE c.seq <= (SELECT max(seq) FROM events)
GROUP BY c.seq HAVING count(e.n) = 0 OR max(e.n) <> count(e.n) - 1;
