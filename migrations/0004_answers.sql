-- When the answers of a batch left, in microseconds since the epoch; `seq` is the last command of the batch.
-- Charts of the latency use this measurement. Nothing else depends on it.
CREATE TABLE answers (
    seq         INTEGER PRIMARY KEY,
    answered_us INTEGER NOT NULL
) STRICT;
