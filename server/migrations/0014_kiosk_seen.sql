-- What heartbeats move, apart from what stays: a flush of the fleet writes one short row a kiosk beside its neighbours',
-- and a row of evidence only when another stretch begins.
CREATE TABLE kiosk_seen (
  kiosk TEXT NOT NULL PRIMARY KEY,
  last_seen_at BIGINT,
  interval_s BIGINT NOT NULL,
  clock_offset_ms BIGINT,
  -- The stretch of heartbeats that runs, as a row of evidence would say it, as far as it is written. It becomes one
  -- when another stretch takes its place. NULL: none was heard.
  from_at BIGINT,
  to_at BIGINT,
  state TEXT,
  cause TEXT,
  -- What its last heartbeat announced.
  span_interval_s BIGINT
);
INSERT INTO kiosk_seen (kiosk, last_seen_at, interval_s, clock_offset_ms)
SELECT kiosk, last_seen_at, interval_s, clock_offset_ms FROM kiosk_state ORDER BY kiosk;

-- The same columns as before, with the stretches that run. After this, deploy/postgres/reader.sql has to grant them
-- again.
DROP VIEW v_evidence;
CREATE VIEW v_evidence AS
SELECT kiosk, source, state, COALESCE(cause, '') AS cause, from_at, to_at, received_at FROM evidence
UNION ALL
SELECT kiosk, 'live', state, COALESCE(cause, ''), from_at, to_at, CAST(NULL AS BIGINT)
FROM kiosk_seen WHERE from_at IS NOT NULL;

DROP VIEW v_kiosks;
CREATE VIEW v_kiosks AS
SELECT
  k.id AS kiosk, COALESCE(k.site, '') AS site, COALESCE(s.name, k.site, '') AS site_name,
  COALESCE(s.region, '') AS region, COALESCE(s.customer, '') AS customer, k.model, k.serial_no, k.admission,
  k.commissioned_at, k.decommissioned_at, COALESCE(p.presence, 'unknown') AS presence, p.presence_since,
  l.last_seen_at, COALESCE(p.service, '') AS service, p.service_since
FROM kiosk k
LEFT JOIN site s ON s.id = k.site
LEFT JOIN kiosk_state p ON p.kiosk = k.id
LEFT JOIN kiosk_seen l ON l.kiosk = k.id;

ALTER TABLE kiosk_state DROP COLUMN last_seen_at;
ALTER TABLE kiosk_state DROP COLUMN interval_s;
ALTER TABLE kiosk_state DROP COLUMN clock_offset_ms;
