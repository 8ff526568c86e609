-- How many outages each cause began, beside the seconds that it was down. What was signed before never changes: there
-- they are 0, and what is missing to `outages` was not told by cause. Rows of months that nobody signed are booked
-- anew after the next start.
ALTER TABLE uptime_month ADD COLUMN outages_power BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uptime_month ADD COLUMN outages_network BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uptime_month ADD COLUMN outages_host BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uptime_month ADD COLUMN outages_hardware BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uptime_month ADD COLUMN outages_supplies BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uptime_month ADD COLUMN outages_software BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uptime_month ADD COLUMN outages_unexplained BIGINT NOT NULL DEFAULT 0
  CHECK (outages_power + outages_network + outages_host + outages_hardware + outages_supplies + outages_software
         + outages_unexplained BETWEEN 0 AND outages);

-- The same columns as before, and these behind them. After this, deploy/postgres/reader.sql has to grant it again.
DROP VIEW v_uptime_month;
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
