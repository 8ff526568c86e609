//! Months of evidence on PostgreSQL (`divide`): which there are, another one, and the end of one that is empty.
//!
//! Both change the table under locks for which everybody waits who uses evidence, and wait themselves behind whoever
//! uses it, so they give up early: [`IN_A_HURRY`]. Neither believes what was seen before its locks were held.
use kioskwatch_domain::retention::EvidencePart;

use super::{
    super::{
        Store, StoreError,
        row::{Loaded, RowReader},
        sql::{Backend, Sql, sql},
    },
    Key,
};

/// All but the rest, the oldest first. `regclass` quotes a name that needs it.
const PARTS: Sql = sql!(
    evidence_parts,
    "SELECT part.name,
       COALESCE(CAST(substring(part.bounds FROM 'FROM \\(''(-?[0-9]+)''\\)') AS BIGINT), -9223372036854775808),
       COALESCE(CAST(substring(part.bounds FROM 'TO \\(''(-?[0-9]+)''\\)') AS BIGINT), 9223372036854775807)
     FROM (SELECT CAST(CAST(c.oid AS REGCLASS) AS TEXT) AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds
           FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           WHERE i.inhparent = CAST('evidence' AS REGCLASS)) AS part
     WHERE part.bounds <> 'DEFAULT'
     ORDER BY 2"
);
/// By the index: what was removed and not yet vacuumed away is passed over there once, not read each time.
const ANY_ROW: Sql = sql!(
    any_row_of_evidence_part,
    "SELECT kiosk FROM evidence WHERE from_at >= $1 AND from_at < $2
     ORDER BY kiosk, source, from_at, state LIMIT 1"
);
/// For the two statements that follow; they take no parameters.
const IN_A_HURRY: Sql = sql!(
    evidence_part_in_a_hurry,
    "SELECT set_config('lock_timeout', '500ms', true), set_config('statement_timeout', '5s', true),
       set_config('kioskwatch.part', $1, true), set_config('kioskwatch.part_from', $2, true),
       set_config('kioskwatch.part_to', $3, true)"
);
/// Nobody writes evidence meanwhile, so that no row of the month comes to the rest; whoever reads other parts goes on.
const MAKE: Sql = sql!(
    make_evidence_part,
    "DO $$
DECLARE
  part TEXT := current_setting('kioskwatch.part');
  part_from BIGINT := current_setting('kioskwatch.part_from');
  part_to BIGINT := current_setting('kioskwatch.part_to');
BEGIN
  PERFORM set_config('search_path', quote_ident(nspname), true) FROM pg_namespace
  WHERE oid = (SELECT relnamespace FROM pg_class WHERE oid = CAST('evidence' AS REGCLASS));
  LOCK TABLE ONLY evidence IN SHARE ROW EXCLUSIVE MODE;
  LOCK TABLE evidence_rest IN ACCESS EXCLUSIVE MODE;
  IF EXISTS (SELECT FROM pg_inherits
             WHERE inhparent = CAST('evidence' AS REGCLASS) AND inhrelid = to_regclass(quote_ident(part))) THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE %I (LIKE evidence INCLUDING ALL)', part);
  EXECUTE format('WITH moved AS (DELETE FROM evidence_rest WHERE from_at >= %s AND from_at < %s RETURNING *)
                  INSERT INTO %I SELECT * FROM moved', part_from, part_to, part);
  EXECUTE format('ALTER TABLE evidence ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', part, part_from, part_to);
END $$"
);
/// The only row that counts is one that is there under the locks. Who waits for them finds the rest in its place.
const DROP: Sql = sql!(
    drop_empty_evidence_part,
    "DO $$
DECLARE
  part REGCLASS := current_setting('kioskwatch.part');
  is_empty BOOLEAN;
BEGIN
  LOCK TABLE ONLY evidence IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part);
  EXECUTE format('SELECT (SELECT kiosk FROM %s ORDER BY kiosk, source, from_at, state LIMIT 1) IS NULL', part)
  INTO is_empty;
  IF is_empty THEN
    EXECUTE format('DROP TABLE %s', part);
  END IF;
END $$"
);

impl Loaded for EvidencePart {
    const TABLE: &'static str = "evidence";

    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError> {
        Ok(Self { table: row.text()?, from: row.time()?, to: row.time()? })
    }
}

impl Store {
    /// The parts of the evidence, the oldest first, without the rest. `None` on SQLite, which has none.
    pub async fn evidence_parts(&self) -> Result<Option<Vec<EvidencePart>>, StoreError> {
        if self.backend() == Backend::Sqlite {
            return Ok(None);
        }
        self.rows(&PARTS, |q| q).await.map(Some)
    }

    /// Makes a part, whether or not rows of it lie in the rest: they move. A part of this name that is there already
    /// stays as it is.
    pub async fn make_evidence_part(&self, part: &EvidencePart) -> Result<(), StoreError> {
        self.change_part(MAKE, part).await
    }

    /// Drops a part in which no row is. Gives whether it is gone.
    pub async fn drop_empty_evidence_part(&self, part: &EvidencePart) -> Result<bool, StoreError> {
        let (from, to) = (part.from.ms(), part.to.ms());
        let found: Vec<Key> = self.rows(&ANY_ROW, |q| q.bind(from).bind(to)).await?;
        if !found.is_empty() {
            return Ok(false);
        }
        self.change_part(DROP, part).await?;
        Ok(self.evidence_parts().await?.is_some_and(|parts| !parts.contains(part)))
    }

    async fn change_part(&self, statement: Sql, part: &EvidencePart) -> Result<(), StoreError> {
        let backend = self.backend();
        let settings = IN_A_HURRY.query(backend).bind(part.table.clone());
        let settings = settings.bind(part.from.ms().to_string()).bind(part.to.ms().to_string());
        let statements = vec![(IN_A_HURRY, settings), (statement, statement.query(backend))];
        self.forget(statements, u64::MAX).await.map(drop)
    }
}
