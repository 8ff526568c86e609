-- The role for Grafana and reports: reads the views of Kioskwatch and nothing else. Run it as somebody who may make
-- roles, after the server's first start and again after an upgrade; it may be run at any time.
--   psql -d kioskwatch -f deploy/postgres/reader.sql
--   psql -d kioskwatch -c '\password kioskwatch_reader'
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'kioskwatch_reader') THEN
    CREATE ROLE kioskwatch_reader LOGIN CONNECTION LIMIT 20;
  END IF;
END $$;

-- A question that somebody builds by clicking must not hold up ingest.
ALTER ROLE kioskwatch_reader SET default_transaction_read_only = on;
ALTER ROLE kioskwatch_reader SET statement_timeout = '30s';
ALTER ROLE kioskwatch_reader SET idle_in_transaction_session_timeout = '10s';

DO $$
DECLARE report name;
BEGIN
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO kioskwatch_reader', current_database());
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO kioskwatch_reader', current_schema());
  FOR report IN SELECT viewname FROM pg_views WHERE schemaname = current_schema() AND viewname LIKE 'v\_%' LOOP
    EXECUTE format('GRANT SELECT ON %I TO kioskwatch_reader', report);
  END LOOP;
END $$;
