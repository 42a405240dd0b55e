-- What changed in rules_history: series by their asset, and also what is not there any more.

DROP VIEW rules_history;

-- By which rules everything from `seq` to `last_seq` (NULL: until now) was decided, as JSON. `changed` holds those that
-- were different before, by the name that `exchange admin rules` knows them by, as they are from here on; null: gone.
CREATE VIEW rules_history AS
WITH ruled AS (
    SELECT seq, payload -> '$.rules' AS rules FROM events WHERE kind IN ('configured', 'rules_changed')
), ordered AS (
    SELECT seq, lead(seq) OVER (ORDER BY seq) - 1 AS last_seq, rules, lag(seq) OVER (ORDER BY seq) AS previous_seq
    FROM ruled
), named AS MATERIALIZED (
    SELECT seq, rule.atom AS value, iif(rule.path GLOB '*series[[]*',
           'market.series.' || json_extract(rules, rule.path || '.asset') || '.' || rule.key,
           replace(substr(rule.fullkey, 3), '"', '')) AS name
    FROM ruled, json_tree(rules) rule
    WHERE rule.atom IS NOT NULL AND NOT (rule.path GLOB '*series[[]*' AND rule.key = 'asset')
)
SELECT ordered.seq, last_seq, c.ts_us,
       strftime('%Y-%m-%dT%H:%M:%S', c.ts_us / 1000000, 'unixepoch') || printf('.%06dZ', c.ts_us % 1000000) AS time,
       c.kind AS cause, rules,
       iif(previous_seq IS NULL, NULL,
           (SELECT json_group_object(name, value) FROM (
                SELECT name, value FROM named WHERE named.seq = ordered.seq
                EXCEPT SELECT name, value FROM named WHERE named.seq = previous_seq
                UNION ALL
                SELECT * FROM (
                    SELECT name, NULL FROM named WHERE named.seq = previous_seq
                    EXCEPT SELECT name, NULL FROM named WHERE named.seq = ordered.seq)))) AS changed
FROM ordered JOIN commands c USING (seq);
