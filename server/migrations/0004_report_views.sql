-- What reports and Grafana read: views whose columns stay while tables change. Add columns, never rename one.
-- Times are milliseconds since 1970 UTC, lengths of time whole seconds; ratios are divided by whoever reads,
-- after summing. Nothing here shows tokens, contacts, raw records or what people wrote in the audit.
-- The role that may read these and nothing else: deploy/postgres/reader.sql.

-- The official figures: of each kiosk and month its highest version, or what is known now while there is none.
-- One row for each owner the kiosk had in the month; sums over any rows are figures of that group.
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
  m.down_software_s, m.down_unexplained_s, m.outages, m.longest_outage_s, m.longest_outage_at
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

CREATE VIEW v_tickets AS
SELECT
  t.number, t.id, t.state, t.is_open, t.kiosk, t.site, COALESCE(s.name, t.site) AS site_name,
  COALESCE(s.region, '') AS region, COALESCE(s.customer, '') AS customer, COALESCE(k.model, '') AS model,
  COALESCE(t.peripheral, '') AS peripheral, t.fault, t.class, t.severity, t.priority, t.source, t.zone,
  t.assignee, t.opened_at, t.t0 AS detected_at, t.t1 AS reported_at, t.t5 AS restored_at,
  t.t6 AS signed_at, t.t7 AS closed_at, t.due_at, t.reopened, t.parent,
  -- From the machine's own sight of the fault to the ticket, and from the ticket to the repair.
  CASE WHEN t.t0 IS NULL OR t.opened_at < t.t0 THEN NULL ELSE (t.opened_at - t.t0) / 1000 END AS fault_to_ticket_s,
  CASE WHEN t.t5 IS NULL OR t.t5 < t.t1 THEN NULL ELSE (t.t5 - t.t1) / 1000 END AS restore_s
FROM ticket t
LEFT JOIN site s ON s.id = t.site
LEFT JOIN kiosk k ON k.id = t.kiosk;

CREATE VIEW v_ticket_clocks AS
SELECT t.number, t.kiosk, t.site, t.class, t.severity, t.priority, c.name AS clock, c.state, c.started_at,
  c.budget_s, c.due_at, c.stopped_at, c.breached_at
FROM clock c
JOIN ticket t ON t.id = c.ticket;

CREATE VIEW v_incidents AS
SELECT i.kiosk, i.site, COALESCE(i.peripheral, '') AS peripheral, i.fault, i.severity, i.opened_at,
  i.noticed_at, i.closed_at, i.close_reason, i.triage, i.triage_reason, t.number AS ticket
FROM incident i
LEFT JOIN ticket t ON t.id = i.ticket;

-- What was proven of a kiosk, by whom: the stuff uptime is computed from.
CREATE VIEW v_evidence AS
SELECT kiosk, source, state, COALESCE(cause, '') AS cause, from_at, to_at, received_at FROM evidence;

CREATE VIEW v_transitions AS
SELECT kiosk, at, kind, COALESCE(peripheral, '') AS peripheral, from_state, to_state, noticed_at, reason
FROM transition;

CREATE VIEW v_kiosks AS
SELECT
  k.id AS kiosk, COALESCE(k.site, '') AS site, COALESCE(s.name, k.site, '') AS site_name,
  COALESCE(s.region, '') AS region, COALESCE(s.customer, '') AS customer, k.model, k.serial_no, k.admission,
  k.commissioned_at, k.decommissioned_at, COALESCE(p.presence, 'unknown') AS presence, p.presence_since,
  p.last_seen_at, COALESCE(p.service, '') AS service, p.service_since
FROM kiosk k
LEFT JOIN site s ON s.id = k.site
LEFT JOIN kiosk_state p ON p.kiosk = k.id;
