-- Month figures as they are known, were signed and were restated; corrections that people ask for.
-- Read by reports, Grafana's views and whoever settles a contract: whole seconds in plain columns.

-- A row is what one kiosk owes one owner in one local month: the seconds it stood at `site` while `engineer`
-- answered for it. The sum over a kiosk's rows is the kiosk, over a site's rows the site, over all the fleet.
CREATE TABLE uptime_month (
  -- `2026-10`, local to the kiosk's zone.
  month TEXT NOT NULL,
  kiosk TEXT NOT NULL,
  -- 0: what everything known says now, written anew as evidence comes in. 1: fixed at the freeze.
  -- 2, 3 …: restated. A version above 0 is never changed or removed; the database refuses it.
  version BIGINT NOT NULL CHECK (version >= 0),
  -- Empty: stood nowhere, was nobody's.
  site TEXT NOT NULL,
  engineer TEXT NOT NULL,
  region TEXT NOT NULL,
  customer TEXT NOT NULL,
  model TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'frozen', 'restated')),
  period_from_at BIGINT NOT NULL,
  period_to_at BIGINT NOT NULL,
  -- Up to where time had passed.
  as_of_at BIGINT NOT NULL,
  booked_at BIGINT NOT NULL,
  -- Availability's target as the exact fraction it was then.
  target_num BIGINT NOT NULL,
  target_den BIGINT NOT NULL,
  -- Time we answer for, of it known, and what approved exclusions took out.
  accountable_s BIGINT NOT NULL,
  known_s BIGINT NOT NULL,
  excluded_s BIGINT NOT NULL,
  -- Numerators, and what they are divided by.
  on_s BIGINT NOT NULL,
  on_of_s BIGINT NOT NULL,
  avail_s BIGINT NOT NULL,
  avail_of_s BIGINT NOT NULL,
  full_s BIGINT NOT NULL,
  full_of_s BIGINT NOT NULL,
  online_s BIGINT NOT NULL,
  online_of_s BIGINT NOT NULL,
  -- The same without any exclusion.
  raw_on_s BIGINT NOT NULL,
  raw_on_of_s BIGINT NOT NULL,
  raw_avail_s BIGINT NOT NULL,
  raw_avail_of_s BIGINT NOT NULL,
  raw_full_s BIGINT NOT NULL,
  raw_full_of_s BIGINT NOT NULL,
  -- Down seconds of availability by cause; they add up to avail_of_s - avail_s.
  down_power_s BIGINT NOT NULL,
  down_network_s BIGINT NOT NULL,
  down_host_s BIGINT NOT NULL,
  down_hardware_s BIGINT NOT NULL,
  down_supplies_s BIGINT NOT NULL,
  down_software_s BIGINT NOT NULL,
  down_unexplained_s BIGINT NOT NULL,
  -- Outages that began here, and the longest of them.
  outages BIGINT NOT NULL,
  longest_outage_s BIGINT NOT NULL,
  longest_outage_at BIGINT,
  -- SHA-256 over everything the figures were computed from, and over each kind of it (JSON).
  fingerprint TEXT NOT NULL,
  inputs TEXT NOT NULL,
  PRIMARY KEY (month, kiosk, version, site, engineer),
  CHECK ((version = 0) = (state = 'open') AND (version = 1) = (state = 'frozen')),
  CHECK (known_s BETWEEN 0 AND accountable_s AND excluded_s >= 0),
  CHECK (full_s BETWEEN 0 AND full_of_s AND avail_s BETWEEN full_s AND avail_of_s),
  CHECK (on_s BETWEEN avail_s AND on_of_s AND on_of_s <= accountable_s),
  CHECK (down_power_s + down_network_s + down_host_s + down_hardware_s + down_supplies_s
         + down_software_s + down_unexplained_s = avail_of_s - avail_s)
);
CREATE INDEX uptime_month_of_kiosk ON uptime_month (kiosk, month);

-- Signed figures that what came later contradicts: proposed by the server, decided by a person.
CREATE TABLE restatement (
  id TEXT NOT NULL PRIMARY KEY,
  kiosk TEXT NOT NULL,
  month TEXT NOT NULL,
  base_version BIGINT NOT NULL,
  -- superseded: later evidence made another one. expired: nobody decided in time.
  state TEXT NOT NULL CHECK (state IN ('proposed', 'approved', 'rejected', 'superseded', 'expired')),
  -- Of the figures proposed: what is approved is what was shown.
  fingerprint TEXT NOT NULL,
  why TEXT NOT NULL,
  -- JSON: the figures before and after.
  before_figures TEXT NOT NULL,
  after_figures TEXT NOT NULL,
  proposed_at BIGINT NOT NULL,
  decided_by TEXT,
  decided_at BIGINT,
  decision_reason TEXT,
  CHECK ((state IN ('approved', 'rejected')) = (decided_by IS NOT NULL))
);
CREATE UNIQUE INDEX restatement_open ON restatement (kiosk, month) WHERE state = 'proposed';
CREATE INDEX restatement_at ON restatement (proposed_at, id);

-- What people say was entered wrong about time up to now.
CREATE TABLE correction (
  id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('exclusion', 'service_hours')),
  kiosk TEXT,
  site TEXT,
  -- Of an exclusion.
  class TEXT,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  -- When a forgotten maintenance had been agreed.
  agreed_at BIGINT,
  -- Of service hours: JSON as it was and as it should have been.
  before_value TEXT,
  after_value TEXT,
  reason TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('requested', 'approved', 'rejected')),
  requested_by TEXT NOT NULL,
  requested_at BIGINT NOT NULL,
  decided_by TEXT,
  decided_at BIGINT,
  decision_reason TEXT,
  -- JSON: figures of the affected months before and after.
  effect TEXT NOT NULL,
  CHECK ((kiosk IS NULL) <> (site IS NULL)),
  CHECK ((state = 'requested') = (decided_by IS NULL)),
  CHECK (decided_by IS NULL OR decided_by <> requested_by)
);
CREATE INDEX correction_at ON correction (requested_at, id);
