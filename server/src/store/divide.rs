//! On PostgreSQL the table of evidence is divided by the month of UTC in which a span began, so that a month of which
//! nothing is left gives its space back. SQLite has one table. No statement of ours knows of it: they all name
//! `evidence`.
//!
//! Here an undivided table is divided, once, at the start of a server. Months are made and dropped by retention
//! (`retention::parts`); what belongs to no month that was made lies in `evidence_rest`.
use sqlx::{Executor as _, pool::PoolConnection};

use super::StoreError;

/// One server at a time brings the schema up to date; of servers that start at once the others wait.
const LOCK: &str = "-- lock_schema
SELECT pg_advisory_lock(hashtext('kioskwatch schema'))";
const UNLOCK: &str = "-- unlock_schema
SELECT pg_advisory_unlock(hashtext('kioskwatch schema'))";

/// The table as it was becomes the part of everything before the next month, without a copy: PostgreSQL reads it once
/// for rows from clocks that were ahead, which move to the rest, and once to see that none is left. The boundary may
/// be any other, so the database's own clock will do.
///
/// `v_evidence` stays the same view, with its grants, and names the new table. Whatever else hangs on the table would
/// go on with the old part alone and is refused by its name. The view is locked first, as its readers do.
const DIVIDE: &str = "-- divide_evidence
DO $$
DECLARE
  undivided OID := CAST('evidence' AS REGCLASS);
  next_month BIGINT := 1000 * CAST(EXTRACT(EPOCH FROM
    (date_trunc('month', now() AT TIME ZONE 'UTC') + INTERVAL '1 month') AT TIME ZONE 'UTC') AS BIGINT);
  hanging TEXT;
  report TEXT;
  privilege TEXT;
  privileges TEXT[];
BEGIN
  IF (SELECT relkind FROM pg_class WHERE oid = undivided) = 'p' THEN
    RETURN;
  END IF;
  PERFORM set_config('search_path', quote_ident(nspname), true)
  FROM pg_namespace WHERE oid = (SELECT relnamespace FROM pg_class WHERE oid = undivided);
  IF to_regclass('v_evidence') IS NOT NULL THEN
    LOCK TABLE v_evidence IN ACCESS EXCLUSIVE MODE;
  END IF;
  LOCK TABLE evidence IN ACCESS EXCLUSIVE MODE;

  SELECT string_agg(DISTINCT CASE WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
                                  ELSE pg_describe_object(CAST('pg_class' AS REGCLASS), r.ev_class, 0) END, ', ')
  INTO hanging
  FROM pg_depend d
  LEFT JOIN pg_rewrite r ON d.classid = CAST('pg_rewrite' AS REGCLASS) AND r.oid = d.objid
  LEFT JOIN pg_constraint c ON d.classid = CAST('pg_constraint' AS REGCLASS) AND c.oid = d.objid
  WHERE d.refclassid = CAST('pg_class' AS REGCLASS) AND d.refobjid = undivided
    AND (r.ev_class <> COALESCE(to_regclass('v_evidence'), 0) OR c.conrelid <> undivided
      OR d.classid IN (CAST('pg_trigger' AS REGCLASS), CAST('pg_policy' AS REGCLASS),
                       CAST('pg_publication_rel' AS REGCLASS), CAST('pg_proc' AS REGCLASS)));
  IF hanging IS NOT NULL THEN
    RAISE EXCEPTION '%', hanging;
  END IF;

  SELECT format('CREATE OR REPLACE VIEW v_evidence %s AS %s',
                'WITH (' || array_to_string(reloptions, ', ') || ')', pg_get_viewdef(oid))
  INTO report FROM pg_class WHERE oid = to_regclass('v_evidence');
  SELECT array_agg(format('GRANT %s ON evidence TO %s%s', privilege_type,
                          CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                          CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END))
  INTO privileges FROM pg_class, aclexplode(relacl) WHERE oid = undivided AND grantee <> relowner;

  ALTER TABLE evidence RENAME TO evidence_before;
  ALTER INDEX evidence_pkey RENAME TO evidence_before_pkey;
  ALTER INDEX evidence_until RENAME TO evidence_before_until;
  CREATE TABLE evidence (LIKE evidence_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
                         PRIMARY KEY (kiosk, source, from_at, state))
  PARTITION BY RANGE (from_at);
  CREATE INDEX evidence_until ON evidence (kiosk, to_at);
  CREATE TABLE evidence_rest PARTITION OF evidence DEFAULT;
  WITH ahead AS (DELETE FROM evidence_before WHERE from_at >= next_month RETURNING *)
  INSERT INTO evidence SELECT * FROM ahead;
  EXECUTE format('ALTER TABLE evidence ATTACH PARTITION evidence_before FOR VALUES FROM (MINVALUE) TO (%s)', next_month);
  IF report IS NOT NULL THEN
    EXECUTE report;
  END IF;
  FOREACH privilege IN ARRAY COALESCE(privileges, '{}') LOOP
    EXECUTE privilege;
  END LOOP;
END $$";

type Connection = PoolConnection<sqlx::Any>;
/// What a code of PostgreSQL and its message mean here, and what to do about it.
type Advice = dyn Fn(&str, &str) -> Option<(String, &'static str)> + Sync;

/// Until [`unlock_schema`], or the end of the connection.
pub(super) async fn lock_schema(connection: &mut Connection) -> Result<(), StoreError> {
    run(connection, "lock_schema", LOCK, &|code, _| {
        let waited = "another server has been bringing the database up to date for 5 minutes";
        (code == LOCK_TIMEOUT).then(|| (waited.into(), "let it come to its end, or stop it, and start again"))
    })
    .await
}

pub(super) async fn unlock_schema(connection: &mut Connection) -> Result<(), StoreError> {
    run(connection, "unlock_schema", UNLOCK, &|_, _| None).await
}

/// Divides the table of evidence, unless it is divided. Nobody reads or writes it meanwhile.
pub(super) async fn divide_evidence(connection: &mut Connection) -> Result<(), StoreError> {
    run(connection, "divide_evidence", DIVIDE, &|code, message| match code {
        RAISED => Some((
            format!(
                "the table evidence is to be divided by month, and these would see an old part alone: {message}"
            ),
            "drop them, start the server, and make them anew, views best on the view v_evidence",
        )),
        LOCK_TIMEOUT => Some((
            "the table evidence is to be divided by month, and somebody has been using it for 5 minutes".into(),
            "stop the other servers and long readers of it, such as pg_dump, and start again",
        )),
        _ => None,
    })
    .await
}

const RAISED: &str = "P0001";
const LOCK_TIMEOUT: &str = "55P03";

async fn run(
    connection: &mut Connection,
    name: &'static str,
    text: &'static str,
    advice: &Advice,
) -> Result<(), StoreError> {
    let Err(source) = connection.execute(sqlx::raw_sql(text)).await else { return Ok(()) };
    let said = source.as_database_error().and_then(|error| advice(&error.code()?, error.message()));
    let Some((what, remedy)) = said else { return Err(StoreError::of(name, source)) };
    Err(StoreError::Unfit { path: "database".into(), what, remedy: remedy.into() })
}
