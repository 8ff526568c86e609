-- The whole schema, one text for SQLite and PostgreSQL: TEXT, BIGINT and DOUBLE PRECISION only.
-- Every time is milliseconds since 1970 UTC, every length of time has its unit in its name.
-- Columns that hold JSON are for reading back, never for WHERE.
-- What is kept how long and why: server/decisions/0002-retention.md.

CREATE TABLE site (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  region TEXT NOT NULL,
  customer TEXT NOT NULL,
  zone TEXT NOT NULL CHECK (zone IN ('urban', 'suburb', 'remote')),
  timezone TEXT NOT NULL,
  service_hours TEXT NOT NULL,
  contacts TEXT NOT NULL,
  remote_consent BIGINT NOT NULL CHECK (remote_consent IN (0, 1)),
  updated_at BIGINT NOT NULL
);

CREATE TABLE kiosk (
  id TEXT NOT NULL PRIMARY KEY,
  site TEXT,
  admission TEXT NOT NULL CHECK (admission IN ('accepted', 'quarantined', 'refused')),
  model TEXT NOT NULL,
  serial_no TEXT NOT NULL,
  commissioned_at BIGINT,
  decommissioned_at BIGINT,
  updated_at BIGINT NOT NULL
);
CREATE INDEX kiosk_of_site ON kiosk (site, id);

CREATE TABLE assignment (
  kiosk TEXT NOT NULL,
  group_kind TEXT NOT NULL CHECK (group_kind IN ('site', 'engineer')),
  group_id TEXT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT,
  PRIMARY KEY (kiosk, group_kind, group_id, from_at)
);

CREATE TABLE kiosk_state (
  kiosk TEXT NOT NULL PRIMARY KEY,
  presence TEXT NOT NULL CHECK (presence IN ('unknown', 'online', 'late', 'offline')),
  presence_since BIGINT NOT NULL,
  presence_reason TEXT NOT NULL,
  last_seen_at BIGINT,
  session TEXT,
  boot TEXT,
  epoch TEXT,
  interval_s BIGINT NOT NULL,
  service TEXT CHECK (service IN ('in_service', 'degraded', 'out_of_service', 'supervised')),
  service_since BIGINT,
  service_cause TEXT,
  peripherals TEXT NOT NULL,
  inventory TEXT NOT NULL,
  clock_offset_ms BIGINT,
  command_counter BIGINT NOT NULL
);

CREATE TABLE journal_head (
  kiosk TEXT NOT NULL,
  epoch TEXT NOT NULL,
  upto BIGINT NOT NULL,
  digest TEXT,
  first_seen_at BIGINT NOT NULL,
  position TEXT NOT NULL,
  PRIMARY KEY (kiosk, epoch)
);

CREATE TABLE journal_record (
  kiosk TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq BIGINT NOT NULL,
  kind TEXT NOT NULL,
  at BIGINT NOT NULL,
  placed_at BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('applied', 'quarantined', 'repeat')),
  reason TEXT,
  digest TEXT NOT NULL,
  raw TEXT NOT NULL,
  PRIMARY KEY (kiosk, epoch, seq)
);

CREATE TABLE journal_gap (
  kiosk TEXT NOT NULL,
  epoch TEXT NOT NULL,
  from_seq BIGINT NOT NULL,
  through_seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (kiosk, epoch, from_seq)
);

CREATE TABLE evidence (
  kiosk TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('journal', 'live')),
  from_at BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('OFF', 'OOS', 'ON_ONLY', 'DEGRADED', 'FULL')),
  to_at BIGINT NOT NULL,
  cause TEXT,
  received_at BIGINT,
  epoch TEXT,
  seq BIGINT,
  PRIMARY KEY (kiosk, source, from_at, state)
);
-- Reports ask for the last weeks of a history that goes back years.
CREATE INDEX evidence_until ON evidence (kiosk, to_at);

CREATE TABLE transition (
  kiosk TEXT NOT NULL,
  at BIGINT NOT NULL,
  -- Tells apart what became true in the same millisecond, in the order it was decided.
  n BIGINT NOT NULL,
  kind TEXT NOT NULL,
  peripheral TEXT,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  noticed_at BIGINT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (kiosk, at, n)
);

CREATE TABLE incident (
  id TEXT NOT NULL PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  kiosk TEXT,
  site TEXT,
  peripheral TEXT,
  fault TEXT NOT NULL,
  severity TEXT NOT NULL CHECK (severity IN ('info', 'minor', 'major')),
  opened_at BIGINT NOT NULL,
  noticed_at BIGINT NOT NULL,
  closed_at BIGINT,
  close_reason TEXT,
  raw TEXT,
  text TEXT,
  ticket TEXT,
  triage TEXT NOT NULL,
  triage_reason TEXT NOT NULL,
  triage_due_at BIGINT,
  parent TEXT
);
-- The same problem is open at most once.
CREATE UNIQUE INDEX incident_open ON incident (fingerprint) WHERE closed_at IS NULL;
CREATE INDEX incident_of_kiosk ON incident (kiosk, opened_at, id);
CREATE INDEX incident_of_ticket ON incident (ticket) WHERE ticket IS NOT NULL;

CREATE TABLE ticket (
  id TEXT NOT NULL PRIMARY KEY,
  number BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN (
    'new', 'triaged', 'pending_batch', 'assigned', 'contacted', 'unreachable', 'scheduled', 'en_route',
    'on_site', 'access_denied', 'repairing', 'waiting_parts', 'waiting_customer', 'multi_visit',
    'external_repair', 'resolved', 'closed', 'called_back', 'cancelled', 'cancelled_reassigned')),
  -- What the state says about being open, so that an index can hold the open ones.
  is_open BIGINT NOT NULL CHECK (is_open IN (0, 1)),
  kiosk TEXT,
  site TEXT,
  peripheral TEXT,
  fault TEXT NOT NULL,
  class TEXT NOT NULL CHECK (class IN ('operator', 'maintenance', 'replacement')),
  severity TEXT NOT NULL CHECK (severity IN ('info', 'minor', 'major')),
  priority BIGINT NOT NULL CHECK (priority BETWEEN 1 AND 4),
  source TEXT NOT NULL CHECK (source IN ('agent', 'server', 'call', 'portal', 'station', 'inspection')),
  zone TEXT NOT NULL CHECK (zone IN ('urban', 'suburb', 'remote')),
  opened_at BIGINT NOT NULL,
  t0 BIGINT,
  t1 BIGINT NOT NULL,
  t5 BIGINT,
  t6 BIGINT,
  t7 BIGINT,
  resolution TEXT,
  sign_off TEXT,
  cancel_reason TEXT,
  recovering_since BIGINT,
  due_at BIGINT,
  parent TEXT,
  assignee TEXT,
  reopened BIGINT NOT NULL,
  extra TEXT NOT NULL
);
CREATE UNIQUE INDEX ticket_number ON ticket (number);
CREATE INDEX ticket_open ON ticket (number) WHERE is_open = 1;
CREATE INDEX ticket_closed ON ticket (t7) WHERE is_open = 0;
CREATE INDEX ticket_of_kiosk ON ticket (kiosk, number);
CREATE INDEX ticket_of_site ON ticket (site, number);
CREATE INDEX ticket_of_parent ON ticket (parent) WHERE parent IS NOT NULL;

CREATE TABLE ticket_event (
  ticket TEXT NOT NULL REFERENCES ticket (id),
  n BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  from_state TEXT,
  to_state TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (ticket, n)
);

CREATE TABLE clock (
  ticket TEXT NOT NULL REFERENCES ticket (id),
  name TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'met', 'breached', 'dropped')),
  started_at BIGINT NOT NULL,
  budget_s BIGINT NOT NULL,
  warn_at BIGINT,
  due_at BIGINT,
  remaining_s BIGINT,
  stopped_at BIGINT,
  breached_at BIGINT,
  PRIMARY KEY (ticket, name)
);

CREATE TABLE command (
  id TEXT NOT NULL PRIMARY KEY,
  kiosk TEXT NOT NULL,
  action TEXT NOT NULL,
  args TEXT NOT NULL,
  actor TEXT NOT NULL,
  approver TEXT,
  ticket TEXT,
  state TEXT NOT NULL CHECK (state IN (
    'awaiting_approval', 'queued', 'sent', 'accepted', 'deferred', 'started', 'succeeded', 'failed',
    'refused', 'expired', 'cancelled', 'unknown')),
  is_open BIGINT NOT NULL CHECK (is_open IN (0, 1)),
  counter BIGINT NOT NULL,
  requested_at BIGINT NOT NULL,
  issued_at BIGINT,
  not_after BIGINT NOT NULL,
  sent_at BIGINT,
  attempts BIGINT NOT NULL,
  finished_at BIGINT,
  reason TEXT,
  result TEXT
);
CREATE INDEX command_open ON command (kiosk) WHERE is_open = 1;
CREATE INDEX command_of_kiosk ON command (kiosk, requested_at, id);

CREATE TABLE command_event (
  command TEXT NOT NULL,
  n BIGINT NOT NULL,
  at BIGINT NOT NULL,
  state TEXT NOT NULL,
  step TEXT NOT NULL,
  percent BIGINT,
  line TEXT,
  PRIMARY KEY (command, n)
);

CREATE TABLE exclusion (
  id TEXT NOT NULL PRIMARY KEY,
  kiosk TEXT,
  site TEXT,
  class TEXT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  requested_by TEXT NOT NULL,
  approved_by TEXT,
  approved_at BIGINT,
  reason TEXT NOT NULL,
  CHECK ((kiosk IS NULL) <> (site IS NULL))
);
CREATE INDEX exclusion_until ON exclusion (to_at);

CREATE TABLE liveness (
  server TEXT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  PRIMARY KEY (server, from_at)
);

CREATE TABLE audit (
  seq BIGINT NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  detail TEXT NOT NULL,
  prev_hash TEXT NOT NULL,
  hash TEXT NOT NULL
);

CREATE TABLE token (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  hash TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('viewer', 'dispatcher', 'engineer', 'manager', 'admin', 'customer')),
  -- JSON array of site ids; NULL is the whole fleet.
  sites TEXT,
  desk TEXT CHECK (desk IN ('call_centre', 'coordinator', 'station', 'region', 'head_office')),
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT
);
CREATE UNIQUE INDEX token_hash ON token (hash);

CREATE TABLE lease (
  name TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL,
  -- Rises with every change of hands.
  fence BIGINT NOT NULL,
  until_at BIGINT NOT NULL,
  -- Commits of this holder: tells after a lost connection whether the last one arrived.
  commits BIGINT NOT NULL
);

CREATE TABLE meta (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
);
-- Number and hash of the last audit entry; its row is the lock under which the chain grows.
INSERT INTO meta (name, value)
VALUES ('audit_head', '0 0000000000000000000000000000000000000000000000000000000000000000');
