-- One row: what is true of the journal as a whole.
CREATE TABLE state (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    epoch       TEXT    NOT NULL,
    last_seq    INTEGER NOT NULL,
    acked       INTEGER NOT NULL,
    boot        TEXT,
    alive_until INTEGER,
    clean       INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    crc         INTEGER NOT NULL,
    remembered  TEXT
);
-- Numbers follow each other without gaps; a `dropped` row stands for seq … through.
CREATE TABLE record (
    seq      INTEGER PRIMARY KEY,
    through  INTEGER NOT NULL CHECK (through >= seq),
    kind     TEXT    NOT NULL,
    json     TEXT    NOT NULL,
    crc      INTEGER NOT NULL,
    acked_at INTEGER
);
-- Commands by id, until a day after they could have run.
CREATE TABLE command (
    id        TEXT PRIMARY KEY,
    counter   INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    state     TEXT    NOT NULL
) WITHOUT ROWID;
