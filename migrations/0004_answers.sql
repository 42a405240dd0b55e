-- When the answers left: those of all commands up to `seq`, the last one of a batch, at `answered_us` (microseconds since
-- the epoch). What the exchange measured of itself; nothing follows from it.
CREATE TABLE answers (
    seq         INTEGER PRIMARY KEY,
    answered_us INTEGER NOT NULL
) STRICT;
