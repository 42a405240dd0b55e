-- The state before the first command in this file, if older commands were sealed into an archive: at most one row.
-- `snapshot` is the state after command `seq`, `hash` the hash of that command; the first command here continues it.
CREATE TABLE base (
    seq      INTEGER PRIMARY KEY,
    ts_us    INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    snapshot BLOB NOT NULL
) STRICT;

-- Digests that the exchange computed while it ran, to compare a replay with. `digest` is a SHA-256 in hexadecimal;
-- `subject` names the content:
--   events/2  SHA-256(digest after the command before | the events of the command as one JSON array), where 32 zero bytes
--             are the digest before the first of every 10,000 commands; every 10,000 commands and at every start and stop
--   events    of earlier versions: the payloads of all events, each ended by a line feed, of the 10,000 commands that end
--             with `seq`
--   state/N   the whole state after command `seq`, in version N of its encoding; at every start and every clean stop
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

-- Only commands that the base stands for may be deleted: an archive holds them.
DROP TRIGGER commands_are_never_deleted;
CREATE TRIGGER commands_are_never_deleted BEFORE DELETE ON commands
WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM base)
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: a command is never deleted');
END;
