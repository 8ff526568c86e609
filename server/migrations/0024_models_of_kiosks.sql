-- Which model a kiosk was is dated like where it stood: a row where it changed. Of a kiosk without one, the model that is
-- registered is the one it always was. A CHECK is widened by a new table, as in migration 16.
CREATE TABLE assignment_widened (
  kiosk TEXT NOT NULL,
  group_kind TEXT NOT NULL CHECK (group_kind IN ('site', 'engineer', 'model')),
  -- Of a model: empty while nobody named one.
  group_id TEXT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT,
  PRIMARY KEY (kiosk, group_kind, group_id, from_at)
);
INSERT INTO assignment_widened (kiosk, group_kind, group_id, from_at, to_at)
SELECT kiosk, group_kind, group_id, from_at, to_at FROM assignment;
DROP TABLE assignment;
ALTER TABLE assignment_widened RENAME TO assignment;
CREATE INDEX assignment_of_group ON assignment (group_kind, group_id, from_at);

-- What two people say of it, and in which order they said everything.
CREATE TABLE correction_widened (
  id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('exclusion', 'withdrawal', 'stood_at', 'answered_for', 'was_model',
                                     'belonged_to', 'service_hours', 'timezone', 'commissioning')),
  kiosk TEXT,
  site TEXT,
  -- Of an exclusion and of its withdrawal.
  class TEXT,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  -- When a forgotten maintenance had been agreed.
  agreed_at BIGINT,
  -- Of a withdrawal: what is taken back.
  exclusion TEXT,
  -- Of all other kinds: as it was and as it should have been. Service hours, dates and who held it until then are
  -- JSON; the site or the engineer of then is its name, and empty where there was none.
  before_value TEXT,
  after_value TEXT,
  -- Of to whom a site belonged, in place of `after_value`: NULL where that stays as it was.
  region TEXT,
  customer TEXT,
  reason TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('requested', 'approved', 'rejected')),
  requested_by TEXT NOT NULL,
  requested_at BIGINT NOT NULL,
  decided_by TEXT,
  decided_at BIGINT,
  decision_reason TEXT,
  -- JSON: figures of the affected months before and after.
  effect TEXT NOT NULL,
  -- Its place among all approvals: what two people say last holds, whatever the clock said when they did.
  approval BIGINT,
  CHECK ((kiosk IS NULL) <> (site IS NULL)),
  CHECK ((kind = 'withdrawal') = (exclusion IS NOT NULL)),
  CHECK ((kind = 'belonged_to') = (region IS NOT NULL OR customer IS NOT NULL)),
  CHECK ((state = 'requested') = (decided_by IS NULL)),
  CHECK ((state = 'approved') = (approval IS NOT NULL)),
  CHECK (decided_by IS NULL OR decided_by <> requested_by)
);
INSERT INTO correction_widened (id, kind, kiosk, site, class, from_at, to_at, agreed_at, exclusion, before_value,
                                after_value, reason, state, requested_by, requested_at, decided_by, decided_at,
                                decision_reason, effect, approval)
SELECT id, kind, kiosk, site, class, from_at, to_at, agreed_at, exclusion, before_value, after_value, reason,
       state, requested_by, requested_at, decided_by, decided_at, decision_reason, effect,
       CASE state WHEN 'approved' THEN ROW_NUMBER() OVER (ORDER BY decided_at, id) END
FROM correction;
DROP TABLE correction;
ALTER TABLE correction_widened RENAME TO correction;
CREATE INDEX correction_at ON correction (requested_at, id);
CREATE INDEX correction_of_kiosk ON correction (kiosk);
CREATE INDEX correction_of_site ON correction (site);

-- A month in which the model changed has a row for each of them. A key is widened by a new table, as in migration 20.
DROP VIEW v_uptime_version;
DROP VIEW v_uptime_month;
-- A row is what one kiosk owes one owner in one local month: the seconds it stood at `site` while `engineer` answered for
-- it, the site belonged to `region` and `customer`, and the kiosk was a `model`. The sum over a kiosk's rows is the kiosk,
-- over a site's rows the site, over all the fleet.
CREATE TABLE uptime_month_by_model (
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
  -- Outages that began here; the longest stretch of one here, also of one that began at another owner's.
  outages BIGINT NOT NULL,
  longest_outage_s BIGINT NOT NULL,
  longest_outage_at BIGINT,
  -- SHA-256 over everything the figures were computed from, and over each kind of it (JSON).
  fingerprint TEXT NOT NULL,
  inputs TEXT NOT NULL,
  -- Of a signed month: only what had been received and approved before this made its version 1.
  frozen_at BIGINT,
  -- How many outages each cause began. 0 in what was signed before they were counted.
  outages_power BIGINT NOT NULL DEFAULT 0,
  outages_network BIGINT NOT NULL DEFAULT 0,
  outages_host BIGINT NOT NULL DEFAULT 0,
  outages_hardware BIGINT NOT NULL DEFAULT 0,
  outages_supplies BIGINT NOT NULL DEFAULT 0,
  outages_software BIGINT NOT NULL DEFAULT 0,
  outages_unexplained BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (month, kiosk, version, site, engineer, region, customer, model),
  CHECK ((version = 0) = (state = 'open') AND (version = 1) = (state = 'frozen')),
  CHECK (known_s BETWEEN 0 AND accountable_s AND excluded_s >= 0),
  CHECK (full_s BETWEEN 0 AND full_of_s AND avail_s BETWEEN full_s AND avail_of_s),
  CHECK (on_s BETWEEN avail_s AND on_of_s AND on_of_s <= accountable_s),
  CHECK (down_power_s + down_network_s + down_host_s + down_hardware_s + down_supplies_s
         + down_software_s + down_unexplained_s = avail_of_s - avail_s),
  CHECK (outages_power + outages_network + outages_host + outages_hardware + outages_supplies + outages_software
         + outages_unexplained BETWEEN 0 AND outages)
);
INSERT INTO uptime_month_by_model (
  month, kiosk, version, site, engineer, region, customer, model, state, period_from_at, period_to_at,
  as_of_at, booked_at, target_num, target_den, accountable_s, known_s, excluded_s, on_s, on_of_s, avail_s, avail_of_s,
  full_s, full_of_s, online_s, online_of_s, raw_on_s, raw_on_of_s, raw_avail_s, raw_avail_of_s, raw_full_s,
  raw_full_of_s, down_power_s, down_network_s, down_host_s, down_hardware_s, down_supplies_s, down_software_s,
  down_unexplained_s, outages, longest_outage_s, longest_outage_at, fingerprint, inputs, frozen_at, outages_power,
  outages_network, outages_host, outages_hardware, outages_supplies, outages_software, outages_unexplained)
SELECT
  month, kiosk, version, site, engineer, region, customer, model, state, period_from_at, period_to_at,
  as_of_at, booked_at, target_num, target_den, accountable_s, known_s, excluded_s, on_s, on_of_s, avail_s, avail_of_s,
  full_s, full_of_s, online_s, online_of_s, raw_on_s, raw_on_of_s, raw_avail_s, raw_avail_of_s, raw_full_s,
  raw_full_of_s, down_power_s, down_network_s, down_host_s, down_hardware_s, down_supplies_s, down_software_s,
  down_unexplained_s, outages, longest_outage_s, longest_outage_at, fingerprint, inputs, frozen_at, outages_power,
  outages_network, outages_host, outages_hardware, outages_supplies, outages_software, outages_unexplained
FROM uptime_month;
DROP TABLE uptime_month;
ALTER TABLE uptime_month_by_model RENAME TO uptime_month;
CREATE INDEX uptime_month_of_kiosk ON uptime_month (kiosk, month);
CREATE INDEX uptime_month_open ON uptime_month (kiosk, month) WHERE version = 0;

-- Both views as they were. After this, deploy/postgres/reader.sql has to grant them again.
CREATE VIEW v_uptime_month AS
SELECT
  m.month,
  substr(m.month, 1, 4) || '-Q' || ((CAST(substr(m.month, 6, 2) AS BIGINT) + 2) / 3) AS quarter,
  m.kiosk, m.site, COALESCE(s.name, m.site) AS site_name, m.region, m.customer, m.engineer, m.model,
  m.version, m.state, m.period_from_at, m.period_to_at, m.as_of_at, m.booked_at,
  m.target_num, m.target_den, m.accountable_s, m.known_s, m.excluded_s,
  m.on_s, m.on_of_s, m.avail_s, m.avail_of_s, m.full_s, m.full_of_s, m.online_s, m.online_of_s,
  m.raw_on_s, m.raw_on_of_s, m.raw_avail_s, m.raw_avail_of_s, m.raw_full_s, m.raw_full_of_s,
  m.down_power_s, m.down_network_s, m.down_host_s, m.down_hardware_s, m.down_supplies_s,
  m.down_software_s, m.down_unexplained_s, m.outages, m.longest_outage_s, m.longest_outage_at,
  m.outages_power, m.outages_network, m.outages_host, m.outages_hardware, m.outages_supplies,
  m.outages_software, m.outages_unexplained
FROM uptime_month m
LEFT JOIN site s ON s.id = m.site
WHERE NOT EXISTS (SELECT 1 FROM uptime_month later
                  WHERE later.month = m.month AND later.kiosk = m.kiosk AND later.version > m.version);

-- Every version of a kiosk's month, for what changed between them.
CREATE VIEW v_uptime_version AS
SELECT month, kiosk, version, state, MAX(booked_at) AS booked_at,
  SUM(on_s) AS on_s, SUM(on_of_s) AS on_of_s, SUM(avail_s) AS avail_s, SUM(avail_of_s) AS avail_of_s,
  SUM(full_s) AS full_s, SUM(full_of_s) AS full_of_s
FROM uptime_month
GROUP BY month, kiosk, version, state;
