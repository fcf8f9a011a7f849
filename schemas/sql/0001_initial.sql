-- The store of one agent. WAL; every commit that a user was told of is fsynced.

-- Records are JSON documents (schemas/records). `name` and `parent` serve look-ups; the agent holds all records in memory.
CREATE TABLE record (
  kind   TEXT NOT NULL,            -- instance, flavor, image, network, subnet, port, keypair, service
  id     TEXT NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;

CREATE TABLE sequence (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO sequence VALUES ('instance_number', 0);

-- Facts about this host that are costly to find out (the KVM probe), by a key that changes when they may have changed.
CREATE TABLE fact (name TEXT PRIMARY KEY, key TEXT NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;

-- The spool bus: messages published and not yet taken over by the journal.
CREATE TABLE spool (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  topic  TEXT NOT NULL,
  body   BLOB NOT NULL
);

-- Ids of messages the journal has taken over; a message with an id in here is a duplicate.
CREATE TABLE seen_message (unique_id TEXT PRIMARY KEY, at_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_message_at ON seen_message (at_us);

-- The journal.
CREATE TABLE operation (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  unique_id     TEXT NOT NULL UNIQUE,
  method        TEXT NOT NULL,
  instance_uuid TEXT NOT NULL,
  request_id    TEXT NOT NULL,
  args          TEXT NOT NULL,
  msg_id        TEXT NOT NULL,     -- of a call; empty for a cast
  reply_q       TEXT NOT NULL,
  state         TEXT NOT NULL,     -- open, undoing, done, failed
  next_step     INTEGER NOT NULL,  -- open: first unfinished step; undoing: next step to undo
  scratch       TEXT NOT NULL,     -- what steps hand on to later steps
  error         TEXT,              -- why it is undone or failed
  deadline_us   INTEGER NOT NULL,
  created_us    INTEGER NOT NULL,
  updated_us    INTEGER NOT NULL
);
CREATE INDEX operation_state ON operation (state) WHERE state IN ('open', 'undoing');
CREATE INDEX operation_instance ON operation (instance_uuid);

-- `server event list` and `show`; kept after the instance is gone.
CREATE TABLE action (
  request_id    TEXT NOT NULL,
  instance_uuid TEXT NOT NULL,
  action        TEXT NOT NULL,
  user_id       TEXT NOT NULL,
  project_id    TEXT NOT NULL,
  start_us      INTEGER NOT NULL,
  updated_us    INTEGER NOT NULL,
  message       TEXT NOT NULL,
  PRIMARY KEY (instance_uuid, request_id)
) WITHOUT ROWID;

CREATE TABLE action_event (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  instance_uuid TEXT NOT NULL,
  request_id    TEXT NOT NULL,
  event         TEXT NOT NULL,
  start_us      INTEGER NOT NULL,
  finish_us     INTEGER NOT NULL,
  result        TEXT NOT NULL,
  details       TEXT NOT NULL
);
CREATE INDEX action_event_of ON action_event (instance_uuid, request_id);
