//! A start on what an older server left.
use kioskwatch_domain::{
    change::*,
    uptime::{Cause, Month},
};
use kioskwatch_server::store::Scope;
use sqlx::{AnyConnection, Column as _, Connection, Executor, Row as _};

use super::{Empty, parts::SCHEMA, rows::*};

/// Before presence moved to another table and corrections to a wider one.
const OLDER: i64 = 13;
/// Before outages were counted by cause.
const WITHOUT_CAUSES: i64 = 18;
/// Before it was kept to whom sites belonged when.
const WITHOUT_CONTRACTS: i64 = 19;

/// Before it was kept which model a kiosk was when.
const WITHOUT_MODELS: i64 = 23;

/// An empty database as a server of that schema left it.
async fn left_by(empty: &Empty, schema: i64) -> AnyConnection {
    // Only a server makes a file where nothing is.
    if let Some(path) = empty.url.strip_prefix("sqlite://") {
        let path = std::path::Path::new(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(path).unwrap();
    }
    sqlx::any::install_default_drivers();
    let mut older = AnyConnection::connect(&super::raw_url(empty)).await.unwrap();
    SCHEMA.run_to(schema, &mut older).await.unwrap();
    older
}

/// What reports find in the view of month figures.
async fn columns(connection: &mut AnyConnection) -> Vec<String> {
    let row = connection.fetch_one("SELECT * FROM v_uptime_month WHERE kiosk = 'k1'").await.unwrap();
    row.columns().iter().map(|column| column.name().to_owned()).collect()
}

pub(crate) async fn outages_that_were_signed_without_causes_are_not_told_by_cause(empty: Empty) {
    let mut older = left_by(&empty, WITHOUT_CAUSES).await;
    let row = |kiosk: &str, version: u32, state: &str| {
        format!(
            "('2026-10', '{kiosk}', {version}, 's1', 'li', 'r', 'c', 'm', '{state}', 0, 1000, 1000, 2000, 99, 100,
              1000, 900, 60, 1000, 1000, 980, 1000, 500, 1000, 800, 950, 1000, 1060, 980, 1060, 500, 1060,
              0, 0, 0, 20, 0, 0, 0, 2, 20, NULL, 'f', '{{}}', NULL)"
        )
    };
    let rows = format!(
        "INSERT INTO uptime_month VALUES {}, {}, {}",
        row("k1", 0, "open"),
        row("k2", 0, "open"),
        row("k2", 1, "frozen")
    );
    older.execute(sqlx::AssertSqlSafe(rows)).await.unwrap();
    let before = columns(&mut older).await;
    older.close().await.unwrap();

    let store = empty.open().await;
    let october: Month = "2026-10".parse().unwrap();
    let told = async || {
        let sums = store.total_of_month(&Scope::All, october, "fleet", "").await.unwrap().sums;
        (sums.outages, sums.outages_by_cause.get(&Cause::Hardware).copied(), sums.not_told_by_cause())
    };
    assert_eq!(told().await, (4, None, 4));
    let rows = store.months_of_kiosks(&[kiosk_id("k1"), kiosk_id("k2")], october).await.unwrap();
    assert!(rows.iter().all(|row| row.sums.not_told_by_cause() == 2), "{rows:?}");
    let renewed: Vec<Change> = rows
        .into_iter()
        .map(|mut row| {
            row.sums.outages_by_cause = [(Cause::Hardware, 2)].into();
            Change::Month(Box::new(row))
        })
        .collect();
    store.commit(&renewed).await.unwrap();
    assert_eq!(told().await, (4, Some(2), 2), "the open month is renewed, the signed one is not");
    let mut reader = AnyConnection::connect(&super::raw_url(&empty)).await.unwrap();
    let after = columns(&mut reader).await;
    assert_eq!(after[..before.len()], before, "reports find what they found, where they found it");
    let added = Cause::ALL.map(|cause| format!("outages_{}", cause.as_str()));
    assert_eq!(after[before.len()..], added);
}

pub(crate) async fn what_a_site_is_to_the_contract_at_an_upgrade_is_what_it_always_was(empty: Empty) {
    let mut older = left_by(&empty, WITHOUT_CONTRACTS).await;
    let rows = "INSERT INTO site VALUES ('s1', 'hall', 'north', 'bank', 'urban', 'UTC', '', '[]', 0, 1);
         INSERT INTO site_terms VALUES ('s1', 0, 'UTC', '[]'), ('s1', 7, 'UTC', ''), ('gone', 0, 'UTC', '');
         INSERT INTO uptime_month VALUES ('2026-10', 'k1', 1, 's1', 'li', 'south', 'post', 'm', 'frozen', 0, 1000,
           1000, 2000, 99, 100, 1000, 900, 60, 1000, 1000, 980, 1000, 500, 1000, 800, 950, 1000, 1060, 980, 1060,
           500, 1060, 0, 0, 0, 20, 0, 0, 0, 2, 20, NULL, 'f', '{}', 1500, 0, 0, 0, 1, 0, 1, 0)";
    older.execute(sqlx::raw_sql(rows)).await.unwrap();
    older.close().await.unwrap();

    let store = empty.open().await;
    let terms = store.site_terms(None).await.unwrap();
    let told = |row: &SiteTermsRow| (row.known_from.ms(), row.region.clone(), row.customer.clone());
    let [north, bank, none] = ["north", "bank", ""].map(str::to_owned);
    let expected = [(0, none.clone(), none), (0, north.clone(), bank.clone()), (7, north, bank)];
    assert_eq!(terms.iter().map(told).collect::<Vec<_>>(), expected);
    // What was signed is what it was, and stays so.
    let october: Month = "2026-10".parse().unwrap();
    let signed = store.months_of_kiosks(&[kiosk_id("k1")], october).await.unwrap().remove(0);
    let customer = (signed.region.as_str(), signed.customer.as_str(), signed.frozen_at);
    assert_eq!(customer, ("south", "post", Some(kioskwatch_proto::Timestamp(1_500))));
    let causes = [(Cause::Hardware, 1), (Cause::Software, 1)];
    assert_eq!((signed.sums.outages, signed.sums.outages_by_cause.clone()), (2, causes.into()));
    let mut intruder = AnyConnection::connect(&super::raw_url(&empty)).await.unwrap();
    assert!(intruder.execute("UPDATE uptime_month SET customer = 'bank'").await.is_err());
    assert!(intruder.execute("DELETE FROM uptime_month").await.is_err());
}

pub(crate) async fn the_model_at_an_upgrade_is_what_a_kiosk_always_was_and_approvals_keep_their_order(
    empty: Empty,
) {
    let mut older = left_by(&empty, WITHOUT_MODELS).await;
    let approved = |id: u128, after: &str, decided_at: i64| {
        format!(
            "('{}', 'answered_for', 'k1', NULL, NULL, {}, {}, NULL, NULL, '[]', '{after}', NULL, NULL, 'r',
              'approved', 'li', 1, 'zhao', {decided_at}, 'seen', '{{}}')",
            uuid(id),
            at(-DAY).ms(),
            at(0).ms(),
        )
    };
    let signed = "('2026-10', 'k1', 1, 's1', 'li', 'south', 'post', 'KT-0', 'frozen', 0, 1000, 1000, 2000, 99, 100, 1000, 900,
        60, 1000, 1000, 980, 1000, 500, 1000, 800, 950, 1000, 1060, 980, 1060, 500, 1060, 0, 0, 0, 20, 0, 0, 0, 2, 20,
        NULL, 'f', '{}', 1500, 0, 0, 0, 1, 0, 1, 0)";
    let rows = format!(
        "INSERT INTO assignment VALUES ('k1', 'site', 's1', 0, NULL), ('k1', 'engineer', 'li', 5, 9);
         INSERT INTO correction VALUES {}, {}; INSERT INTO uptime_month VALUES {signed}",
        approved(1, "wang", 30),
        approved(2, "zhou", 20),
    );
    older.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(rows))).await.unwrap();
    let before = columns(&mut older).await;
    older.close().await.unwrap();

    let store = empty.open().await;
    let registered = KioskRow { model: "KT-1".into(), ..kiosk("k1", Some("s1")) };
    store.commit(&[Change::Kiosk(registered)]).await.unwrap();
    let found = async |from, to| {
        let rows = store.assignments_of(&[kiosk_id("k1")], from, to).await.unwrap();
        rows.into_iter()
            .map(|row| (row.group.as_str(), row.group_id, row.said.map(kioskwatch_proto::Timestamp::ms)))
            .collect::<Vec<_>>()
    };
    let (first, last) = (kioskwatch_proto::Timestamp(0), at(0));
    let expected = [
        ("engineer", "li", None),
        ("engineer", "zhou", Some(20)),
        ("engineer", "wang", Some(30)),
        ("site", "s1", None),
    ];
    assert_eq!(found(first, last).await, expected.map(|(group, id, said)| (group, id.to_owned(), said)));
    let groups = (GroupKind::Model, vec!["KT-1"]);
    assert_eq!(store.kiosks_of_groups(groups.0, groups.1, first, last).await.unwrap(), [kiosk_id("k1")]);
    // What was signed is what it was, and stays so.
    let october: Month = "2026-10".parse().unwrap();
    let signed = store.months_of_kiosks(&[kiosk_id("k1")], october).await.unwrap().remove(0);
    assert_eq!((signed.model.as_str(), signed.customer.as_str(), signed.sums.outages), ("KT-0", "post", 2));
    let mut reader = AnyConnection::connect(&super::raw_url(&empty)).await.unwrap();
    assert!(reader.execute("UPDATE uptime_month SET model = 'KT-1'").await.is_err());
    assert_eq!(columns(&mut reader).await, before, "reports find what they found");
}

pub(crate) async fn rows_of_an_older_server_are_all_there(empty: Empty) {
    let request = |id: u128, what: Correction| CorrectionRow {
        id: uuid(id),
        what,
        from: at(-DAY),
        to: at(0),
        reason: "forgotten".into(),
        state: CorrectionState::Requested,
        requested_by: "li".into(),
        requested_at: at(1),
        decided: None,
        effect: "{}".into(),
    };
    let (kiosk_of, class, agreed_at) = (Some(kiosk_id("k1")), "planned".into(), Some(at(-2 * DAY)));
    let waiting = request(1, Correction::Exclusion { kiosk: kiosk_of, site: None, class, agreed_at });
    let hours = Correction::ServiceHours { site: site_id("s1"), before: String::new(), after: "[]".into() };
    let approved = CorrectionRow {
        state: CorrectionState::Approved,
        decided: Some(Decided { by: "zhao".into(), at: at(9), reason: "seen".into() }),
        ..request(2, hours)
    };
    let state = KioskStateRow { presence_reason: "silence".into(), ..full_state("k1") };
    let [session, boot, epoch, first, second] = [1, 2, 3, 1, 2].map(uuid);
    let ms = |offset: i64| at(offset).ms();
    let rows = format!(
        "INSERT INTO kiosk_state VALUES ('k1', 'late', {since}, 'silence', {seen}, '{session}', '{boot}', '{epoch}',
           30, 'degraded', {service}, 'supplies', '{peripherals}', '{inventory}', -42, {counter});
         INSERT INTO correction VALUES
           ('{first}', 'exclusion', 'k1', NULL, 'planned', {from}, {to}, {agreed}, NULL, NULL, 'forgotten',
            'requested', 'li', {asked}, NULL, NULL, NULL, '{{}}'),
           ('{second}', 'service_hours', NULL, 's1', NULL, {from}, {to}, NULL, '', '[]', 'forgotten',
            'approved', 'li', {asked}, 'zhao', {decided}, 'seen', '{{}}')",
        since = ms(-3),
        seen = ms(-2),
        service = ms(-1),
        peripherals = state.peripherals,
        inventory = state.inventory,
        counter = state.command_counter,
        from = ms(-DAY),
        to = ms(0),
        agreed = ms(-2 * DAY),
        asked = ms(1),
        decided = ms(9),
    );
    let mut older = left_by(&empty, OLDER).await;
    older.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(rows))).await.unwrap();
    older.close().await.unwrap();

    let store = empty.open().await;
    store.commit(&[Change::Kiosk(kiosk("k1", None))]).await.unwrap();
    assert_eq!(store.load_image(NOW).await.unwrap().states, [state]);
    for row in [waiting, approved] {
        assert_eq!(store.correction(&Scope::All, row.id).await.unwrap(), Some(row));
    }
}
