-- What was before the first command in this file, where older commands were sealed into an archive: at most one row.
-- `snapshot` is the state after command `seq`, whose hash is `hash`; the first command here continues that chain.
CREATE TABLE base (
    seq      INTEGER PRIMARY KEY,
    ts_us    INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    snapshot BLOB NOT NULL
) STRICT;

-- What the exchange itself computed while it ran, for whoever replays its commands to compare with. `digest` is a
-- SHA-256 in hexadecimal; `subject` says of what:
--   events    the payloads of all events, each ended by a line feed, of the 10,000 commands that end with `seq`
--   state/N   the whole state after command `seq`, in version N of its bytes; at every start and stop in good order
CREATE TABLE digests (
    seq     INTEGER NOT NULL,
    subject TEXT NOT NULL,
    digest  TEXT NOT NULL,
    PRIMARY KEY (seq, subject)
) STRICT, WITHOUT ROWID;

DROP TRIGGER commands_follow_each_other;
CREATE TRIGGER commands_follow_each_other BEFORE INSERT ON commands
WHEN NEW.seq IS NOT coalesce((SELECT max(seq) FROM commands), (SELECT max(seq) FROM base), 0) + 1
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: seq must be the last one plus 1');
END;

-- Only what the base already stands for, and an archive holds, may go.
DROP TRIGGER commands_are_never_deleted;
CREATE TRIGGER commands_are_never_deleted BEFORE DELETE ON commands
WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM base)
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: a command is never deleted');
END;
