-- The verdict of a kiosk stands with what it is judged by: when a server starts, it says of the whole fleet that nothing
-- is known, and so writes short rows beside each other in place of long ones with an inventory in them.
ALTER TABLE kiosk_seen ADD COLUMN presence TEXT CHECK (presence IN ('unknown', 'online', 'late', 'offline'));
ALTER TABLE kiosk_seen ADD COLUMN presence_since BIGINT;
ALTER TABLE kiosk_seen ADD COLUMN presence_reason TEXT;
UPDATE kiosk_seen SET
  presence = s.presence, presence_since = s.presence_since, presence_reason = s.presence_reason
FROM kiosk_state s WHERE s.kiosk = kiosk_seen.kiosk;

-- The same columns as before. After this, deploy/postgres/reader.sql has to grant it again.
DROP VIEW v_kiosks;
CREATE VIEW v_kiosks AS
SELECT
  k.id AS kiosk, COALESCE(k.site, '') AS site, COALESCE(s.name, k.site, '') AS site_name,
  COALESCE(s.region, '') AS region, COALESCE(s.customer, '') AS customer, k.model, k.serial_no, k.admission,
  k.commissioned_at, k.decommissioned_at, COALESCE(l.presence, 'unknown') AS presence, l.presence_since,
  l.last_seen_at, COALESCE(p.service, '') AS service, p.service_since
FROM kiosk k
LEFT JOIN site s ON s.id = k.site
LEFT JOIN kiosk_state p ON p.kiosk = k.id
LEFT JOIN kiosk_seen l ON l.kiosk = k.id;

ALTER TABLE kiosk_state DROP COLUMN presence;
ALTER TABLE kiosk_state DROP COLUMN presence_since;
ALTER TABLE kiosk_state DROP COLUMN presence_reason;
