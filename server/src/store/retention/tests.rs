use sqlx::{Connection as _, Executor as _, Row as _};

use super::*;
use crate::app::testing::Folder;

/// Every statement that looks for old rows or removes them beside others.
const STATEMENTS: [Sql; 26] = [
    OLD_EVIDENCE,
    REMOVE_EVIDENCE,
    OLD_EVIDENCE_GAPS,
    REMOVE_EVIDENCE_GAPS,
    OLD_TRANSITIONS,
    REMOVE_TRANSITIONS,
    OLD_GAPS,
    REMOVE_GAPS,
    OLD_RECORDS,
    REMOVE_RECORDS,
    OLD_COMMANDS,
    REMOVE_COMMAND_EVENTS,
    REMOVE_COMMANDS,
    OLD_INCIDENTS,
    REMOVE_INCIDENTS,
    OLD_LIVENESS,
    REMOVE_LIVENESS,
    OLD_EXCLUSION,
    REMOVE_EXCLUSIONS,
    tickets::OLD,
    tickets::INCIDENTS,
    tickets::EXPLAINED,
    tickets::REMOVE_EVENTS,
    tickets::REMOVE_CLOCKS,
    tickets::REMOVE_TICKETS,
    super::super::journal::REMOVED_AT,
];

#[tokio::test]
async fn every_look_and_every_removal_finds_its_rows_by_an_index() {
    let folder = Folder::new();
    let store = Store::open(&folder.database()).await.unwrap();
    let mut connection = sqlx::AnyConnection::connect(&folder.database()).await.unwrap();
    for statement in STATEMENTS {
        let plan = format!("EXPLAIN QUERY PLAN {}", statement.sqlite);
        let plan = connection.fetch_all(sqlx::raw_sql(sqlx::AssertSqlSafe(plan))).await.unwrap();
        for line in plan {
            let step: String = line.get(3);
            // Lists that came with the question, some rows that were found by an index, and what is small.
            let whole = step.strip_prefix("SCAN ").filter(|table| {
                !["json_each", "given", "oldest", "looked", "liveness", "l"]
                    .iter()
                    .any(|small| table.split(' ').next() == Some(small))
                    && !table.contains("USING")
            });
            assert!(whole.is_none(), "{}: {step}", statement.name);
        }
    }
    store.close().await;
}
