-- What two people say of to whom a site belonged, over the rows of `site_terms`. A CHECK is widened by a new table, as in
-- migration 16.
CREATE TABLE correction_widened (
  id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('exclusion', 'withdrawal', 'stood_at', 'answered_for', 'belonged_to',
                                     'service_hours', 'timezone', 'commissioning')),
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
  CHECK ((kiosk IS NULL) <> (site IS NULL)),
  CHECK ((kind = 'withdrawal') = (exclusion IS NOT NULL)),
  CHECK ((kind = 'belonged_to') = (region IS NOT NULL OR customer IS NOT NULL)),
  CHECK ((state = 'requested') = (decided_by IS NULL)),
  CHECK (decided_by IS NULL OR decided_by <> requested_by)
);
INSERT INTO correction_widened (id, kind, kiosk, site, class, from_at, to_at, agreed_at, exclusion, before_value,
                                after_value, reason, state, requested_by, requested_at, decided_by, decided_at,
                                decision_reason, effect)
SELECT id, kind, kiosk, site, class, from_at, to_at, agreed_at, exclusion, before_value, after_value, reason,
       state, requested_by, requested_at, decided_by, decided_at, decision_reason, effect
FROM correction;
DROP TABLE correction;
ALTER TABLE correction_widened RENAME TO correction;
CREATE INDEX correction_at ON correction (requested_at, id);
CREATE INDEX correction_of_kiosk ON correction (kiosk);
CREATE INDEX correction_of_site ON correction (site);
