//! A signed figure is wrong, two people mend it, and everything that shows it shows the same.
use kioskwatch_tests::harness::{
    api::Api,
    postgres::Postgres,
    server::QUICK,
    stack::{PATIENCE, Plan, Stack},
    wait::wait_until,
};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _};

use crate::{
    past::{ENGINEER, OFF_S, Past},
    program,
};

/// A row of the month that was signed first, as it stands in the table; then version and state of the month as others
/// read them, and its seconds of availability.
async fn row(database: &mut AnyConnection, text: &'static str, month: &str) -> Result<String, String> {
    let found = sqlx::query_scalar::<_, String>(text).bind(month).fetch_all(database).await;
    match found.map_err(|error| error.to_string())?.as_slice() {
        [one] => Ok(one.clone()),
        other => Err(format!("one row is wanted: {other:?}")),
    }
}

const SIGNED_FIRST: &str =
    "SELECT row_to_json(m)::text FROM uptime_month m WHERE kiosk = 'K-0001' AND month = $1 AND version = 1";
const OF_VIEW: &str = "SELECT version || ' ' || state || ' ' || avail_s || ' of ' || avail_of_s
    FROM v_uptime_month WHERE kiosk = 'K-0001' AND month = $1";

/// Somebody of this name who may correct and decide.
async fn manager(stack: &Stack, name: &str) -> Api {
    let made = stack.server.command(&["token", "create", "--name", name, "--role", "manager"]).await.unwrap();
    assert!(made.status.success(), "{made:?}");
    let secret = String::from_utf8(made.stdout).unwrap();
    let secret = secret.split_whitespace().last().unwrap();
    stack.api().with_token(secret)
}

async fn decided(who: &Api, path: &str) {
    let reply = who.post(&format!("{path}/approve"), json!({"reason": "the flood"})).await.unwrap();
    assert_eq!((reply.status, &reply.body["state"]), (200, &json!("approved")), "{reply:?}");
}

/// Seconds up and seconds that count for availability, as a scrape shows them of last month.
async fn scraped(stack: &Stack, (scope, id): (&str, &str)) -> Result<(f64, f64), String> {
    let labels = format!("scope=\"{scope}\",id=\"{id}\",ratio=\"avail\",period=\"last_month\"");
    let of = |what: &str| format!("kioskwatch_uptime_{what}_seconds{{{labels}}}");
    Ok((stack.metric(&of("up")).await?, stack.metric(&of("accountable")).await?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_month_is_restated_by_two_people_and_everything_shows_the_same() {
    let cluster = Postgres::shared();
    let url = cluster.fresh_database().await;
    let past = Past::write(&url, "K-0001", "S-01").await;
    let month = past.last_month.to_string();
    // Signed at its end, so that last month is also on the first day of the next one.
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").database(url.clone());
    let settings = format!("{QUICK}\n[uptime]\nfreeze_hours = 0\n");
    let stack = plan.settings(&settings).start_without_kiosks().await;
    sqlx::any::install_default_drivers();
    let mut database = AnyConnection::connect(&url).await.unwrap();

    let (whole, up) = (past.period.length(), past.period.length() - OFF_S);
    let shows = Shown { kiosk: "K-0001", month: &month };
    shows.same(&stack, &mut database, 1, "frozen", (up, whole)).await;
    let signed_first = row(&mut database, SIGNED_FIRST, &month).await.unwrap();
    let versions = format!("/api/v1/kiosks/K-0001/uptime?month={month}");
    let told_first = stack.api().json(&versions).await.unwrap()["signed"][0].to_string();

    let [asks, decides] = [manager(&stack, "asks").await, manager(&stack, "decides").await];
    let time = |second: i64| kioskwatch_proto::Timestamp(second * 1_000).to_string();
    let wrong = json!({
        "kind": "exclusion", "class": "force_majeure", "kiosk": "K-0001", "reason": "the flood",
        "from": time(past.off.from), "to": time(past.off.to),
    });
    let asked = asks.post("/api/v1/corrections", wrong).await.unwrap();
    assert_eq!(asked.status, 201, "{asked:?}");
    let corrections = format!("/api/v1/corrections/{}", asked.body["id"].as_str().unwrap());
    decided(&decides, &corrections).await;
    let proposal = wait_until("the proposal to restate the month", PATIENCE, || async {
        let waiting = decides.list("/api/v1/restatements?state=proposed").await?;
        waiting.first().cloned().ok_or_else(|| "nothing is proposed".to_owned())
    })
    .await;
    assert_eq!((&proposal["month"], &proposal["base_version"]), (&json!(month), &json!(1)), "{proposal}");
    // A proposal changes nothing.
    shows.same(&stack, &mut database, 1, "frozen", (up, whole)).await;
    // Also within the second of the exclusion: an approval waits for the next one.
    decided(&decides, &format!("/api/v1/restatements/{}", proposal["id"].as_str().unwrap())).await;

    shows.same(&stack, &mut database, 2, "restated", (up, whole - OFF_S)).await;
    let told = stack.server.command(&["explain", "uptime", "--kiosk", "K-0001", "--month", &month]).await;
    let told = String::from_utf8(told.unwrap().stdout).unwrap();
    assert!(told.contains(&format!("\navail   {up:>12} / {:<12} ", whole - OFF_S)), "{told}");
    assert_eq!(row(&mut database, SIGNED_FIRST, &month).await.unwrap(), signed_first);
    assert_eq!(stack.api().json(&versions).await.unwrap()["signed"][0].to_string(), told_first);
    let checked = stack.server.command(&["check"]).await.unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.contains("signed months: 4 are"), "{said} {checked:?}");
}

/// A kiosk's month, wherever it stands.
struct Shown<'a> {
    kiosk: &'a str,
    month: &'a str,
}

impl Shown<'_> {
    /// Waits until the bookkeeper has come to it, in the view; from then on the API, the console and the command line
    /// show the same at once, and a scrape does when the bookkeeper looked at the kiosk again.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has no integers, and these are small")]
    async fn same(
        &self,
        stack: &Stack,
        database: &mut AnyConnection,
        version: u32,
        state: &str,
        (up, of): (i64, i64),
    ) {
        let Self { kiosk, month } = self;
        let wanted = format!("{version} {state} {up} of {of}");
        let database = tokio::sync::Mutex::new(database);
        wait_until("the view to show the month", PATIENCE, || async {
            let found = row(&mut **database.lock().await, OF_VIEW, month).await?;
            if found == wanted { Ok(()) } else { Err(format!("{found}, wanted {wanted}")) }
        })
        .await;
        let figures = format!("/api/v1/uptime?scope=kiosk&id={kiosk}&month={month}");
        let figures = stack.api().json(&figures).await.unwrap();
        let seconds = |value: &Value| (value["avail"]["num"].as_i64(), value["avail"]["den"].as_i64());
        assert_eq!(
            (seconds(&figures), figures["version"].as_u64(), &figures["signed"]),
            ((Some(up), Some(of)), Some(version.into()), &json!(true)),
            "{figures}"
        );
        let page = format!("/kiosks/{kiosk}/uptime?month={month}&measure=avail");
        let page = stack.api().text(&page).await.unwrap();
        let shown = format!("data-num=\"{up}\" data-den=\"{of}\"");
        assert!(page.contains(&format!(" · v{version}</span>")) && page.contains(&shown), "{shown}: {page}");
        let told = stack.server.command(&["explain", "uptime", "--kiosk", kiosk, "--month", month]).await;
        let told = String::from_utf8(told.unwrap().stdout).unwrap();
        let newest = told.lines().rfind(|line| line.starts_with("version ")).unwrap_or_default();
        let signed = format!("  avail {up} / {of} ");
        assert!(newest.starts_with(&format!("version {version}")) && newest.contains(&signed), "{told}");
        // Single kiosks have series of the month that runs only.
        for group in [("fleet", ""), ("site", "S-01"), ("region", "north"), ("engineer", ENGINEER)] {
            wait_until("a scrape to show last month", PATIENCE, || async {
                let found = scraped(stack, group).await?;
                if found == (up as f64, of as f64) {
                    Ok(())
                } else {
                    Err(format!("{group:?}: {found:?}, {wanted}"))
                }
            })
            .await;
        }
    }
}
