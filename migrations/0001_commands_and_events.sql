-- The journal: the commands, and the events that they caused.
-- `application_id` is 'EXJ1'. It distinguishes this file from other SQLite databases.
PRAGMA application_id = 1163414065;

-- Every accepted command, in order. `payload` is its canonical JSON, `ts_us` microseconds since the epoch, and
-- `hash` = SHA-256(hash of the row before, or 32 zero bytes | seq | ts_us | payload), both numbers as 8 bytes, big-endian.
CREATE TABLE commands (
    seq           INTEGER PRIMARY KEY,
    ts_us         INTEGER NOT NULL,
    payload       TEXT NOT NULL,
    hash          BLOB NOT NULL,
    kind          TEXT GENERATED ALWAYS AS (payload ->> '$.kind') VIRTUAL,
    user_id       TEXT GENERATED ALWAYS AS (payload ->> '$.user_id') VIRTUAL,
    instrument_id TEXT GENERATED ALWAYS AS (payload ->> '$.instrument_id') VIRTUAL
) STRICT;

-- The events that command `seq` caused, in order of `n` from 0. They can be rebuilt from the commands at any time.
CREATE TABLE events (
    seq           INTEGER NOT NULL,
    n             INTEGER NOT NULL,
    payload       TEXT NOT NULL,
    kind          TEXT GENERATED ALWAYS AS (payload ->> '$.kind') VIRTUAL,
    user_id       TEXT GENERATED ALWAYS AS (payload ->> '$.user_id') VIRTUAL,
    instrument_id TEXT GENERATED ALWAYS AS (payload ->> '$.instrument_id') VIRTUAL,
    order_id      INTEGER GENERATED ALWAYS AS (payload ->> '$.order_id') VIRTUAL,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER commands_follow_each_other BEFORE INSERT ON commands
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM commands)
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: seq must be the last one plus 1');
END;

CREATE TRIGGER commands_are_never_changed BEFORE UPDATE ON commands
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: a command is never changed');
END;

CREATE TRIGGER commands_are_never_deleted BEFORE DELETE ON commands
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: a command is never deleted');
END;
