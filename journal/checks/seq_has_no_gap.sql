-- Commands are numbered without a gap.
SELECT seq, previous FROM (SELECT seq, lag(seq) OVER (ORDER BY seq) AS previous FROM commands)
WHERE seq <> previous + 1;
