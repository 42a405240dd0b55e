-- Every command has events, numbered from 0 without a gap. (If the first commands are missing, the history begins with
-- one that stands for all of them.)
SELECT c.seq, count(e.n) AS events, max(e.n) AS last_n
FROM commands c LEFT JOIN events e USING (seq)
WHERE c.seq = 1 OR c.seq > (SELECT min(seq) FROM commands)
GROUP BY c.seq HAVING count(e.n) = 0 OR max(e.n) <> count(e.n) - 1;
