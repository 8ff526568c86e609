//! A start on what an older server left.
use kioskwatch_domain::change::*;
use kioskwatch_server::store::Scope;
use sqlx::{AnyConnection, Connection, Executor};

use super::{Empty, parts::SCHEMA, rows::*};

/// Before presence moved to another table and corrections to a wider one.
const OLDER: i64 = 13;

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
    // Only a server makes a file where nothing is.
    if let Some(path) = empty.url.strip_prefix("sqlite://") {
        let path = std::path::Path::new(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(path).unwrap();
    }
    sqlx::any::install_default_drivers();
    let mut older = AnyConnection::connect(&super::raw_url(&empty)).await.unwrap();
    SCHEMA.run_to(OLDER, &mut older).await.unwrap();
    older.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(rows))).await.unwrap();
    older.close().await.unwrap();

    let store = empty.open().await;
    store.commit(&[Change::Kiosk(kiosk("k1", None))]).await.unwrap();
    assert_eq!(store.load_image(NOW).await.unwrap().states, [state]);
    for row in [waiting, approved] {
        assert_eq!(store.correction(&Scope::All, row.id).await.unwrap(), Some(row));
    }
}
