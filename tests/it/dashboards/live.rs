//! Every query put to the sources of a running stack, and every link followed.
use std::{collections::BTreeSet, fs, time::Duration};

use kioskwatch_proto::{
    KioskId,
    topic::{Channel, Topic},
};
use kioskwatch_server::clock::Clock;
use kioskwatch_tests::{
    emulator::{Paper, Phase},
    harness::{
        client::Client,
        monitoring::prometheus,
        postgres::Postgres,
        server::{QUICK, Workdir},
        stack::{PATIENCE, Plan, Stack},
        wait::wait_until,
    },
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tokio::{sync::Mutex, task::JoinHandle};

use super::{
    answer::{Answer, Choice, Chosen, Sources},
    board::Board,
    boards, deploy, empty_here, panel, uptime_history, verdict,
};
use crate::{past::Past, program};

/// Months that were over before this stack began: frozen ones of two kiosks, signed without the causes of their
/// outages, and a restatement of one, which tells them.
const PAST: &str = "
INSERT INTO uptime_month
SELECT to_char(m, 'YYYY-MM'), k, v, 'S-01', 'Li', 'north', 'Bank', 'test-terminal',
  CASE v WHEN 1 THEN 'frozen' ELSE 'restated' END,
  extract(epoch FROM m)::bigint * 1000, extract(epoch FROM m + interval '1 month')::bigint * 1000,
  extract(epoch FROM m + interval '1 month')::bigint * 1000,
  extract(epoch FROM m + interval '1 month 1 day')::bigint * 1000 + v,
  99, 100, 100000, 99000, 500, 99500, 100000, 98500 + v, 100000, 98000, 100000, 97000, 100000,
  99400, 100500, 98400, 100500, 97900, 100500, 1500 - v, 0, 0, 0, 0, 0, 0, 2, 900,
  extract(epoch FROM m)::bigint * 1000, 'fp', '{}',
  extract(epoch FROM m + interval '1 month 1 day')::bigint * 1000,
  CASE v WHEN 2 THEN 1 ELSE 0 END, 0, 0, CASE v WHEN 2 THEN 1 ELSE 0 END, 0, 0, 0
FROM (VALUES ('H-0002', 1), ('H-0001', 1), ('H-0001', 2)) AS who (k, v),
  generate_series(date_trunc('month', now()) - interval '4 months',
                  date_trunc('month', now()) - interval '1 month', interval '1 month') AS m
ORDER BY v";

/// The reading role is made, and we become that role.
async fn become_reader(url: &str) -> PgConnection {
    let mut owner = PgConnection::connect(url).await.unwrap();
    let role = fs::read_to_string(deploy().join("postgres/reader.sql")).unwrap();
    // Twice: it may be run again at any time.
    for _ in 0..2 {
        owner.execute(AssertSqlSafe(role.as_str())).await.unwrap();
    }
    let url = url.replace("://postgres@", "://kioskwatch_reader@");
    PgConnection::connect(&url).await.unwrap()
}

/// The past is written, and read by the one who may do nothing else.
async fn reader(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap().execute(PAST).await.unwrap();
    let mut reader = become_reader(url).await;
    for forbidden in ["SELECT hash FROM token", "SELECT contacts FROM site", "SELECT raw FROM journal_record"]
    {
        let refused = reader.execute(forbidden).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{forbidden}: {refused}");
    }
    let refused = reader.execute("CREATE TABLE mine (n BIGINT)").await.unwrap_err().to_string();
    assert!(refused.contains("read-only") || refused.contains("permission denied"), "{refused}");
    reader
}

/// Whoever speaks for a kiosk that is off: more than one may send, and nothing that can be read.
struct Nonsense(JoinHandle<()>);

impl Nonsense {
    async fn begin(stack: &Stack, kiosk: &str) -> Self {
        let kiosk = KioskId::new(kiosk).unwrap();
        let topic = Topic::new(kiosk.clone(), Channel::Journal).to_string();
        let filters = Topic::agent_filters(&kiosk);
        let mut client = Client::connect(stack.broker.address(), "nonsense", &filters).await.unwrap();
        Self(tokio::spawn(async move { while client.say(&topic, "nonsense", false).await.is_ok() {} }))
    }
}

impl Drop for Nonsense {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A kiosk that is out of service, and nobody told those who were to repair it.
async fn retire(stack: &Stack, id: &str) {
    let path = format!("/api/v1/kiosks/{id}");
    let api = stack.api();
    let put = api.put(&path, json!({ "site": "S-01", "model": "test-terminal" })).await.unwrap();
    assert!(matches!(put.status, 200 | 201), "{put:?}");
    let ticket = json!({ "kiosk": id, "fault": "paper_jam", "source": "call", "text": "no paper comes" });
    let opened = api.post("/api/v1/tickets", ticket).await.unwrap();
    assert_eq!(opened.status, 201, "{opened:?}");
    let now = Clock::start().now();
    let gone = json!({ "site": "S-01", "model": "test-terminal", "commissioned_at": now, "decommissioned_at": now.plus_ms(1_000) });
    let put = api.put(&path, gone).await.unwrap();
    assert_eq!(put.status, 200, "{put:?}");
}

/// Work for the panels to show: a fault that nobody is sent for, one that was mended, one that stops the kiosk and
/// another on top of it, a kiosk that fell silent, a command.
async fn work(stack: &mut Stack) {
    stack.kiosks[1].lose_power().await.unwrap();
    let printer = &stack.kiosks[0].printer;
    printer.set(|printer| printer.paper = Paper::NearEnd);
    stack.metric_reaches("kioskwatch_suppressed_total{reason=\"info\"}", 1.0).await;
    printer.set(|printer| printer.paper = Paper::Out);
    stack.ticket("K-0001", "paper_out").await;
    printer.set(|printer| printer.paper = Paper::Ok);
    stack.ticket_in("K-0001", "paper_out", &["resolved"]).await;
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::ValidatorJam);
    stack.kiosk_until("K-0001", "a kiosk out of service", |kiosk| kiosk["service"] == "out_of_service").await;
    printer.set(|printer| printer.cover_open = true);
    let urgent = stack.ticket("K-0001", "cover_open").await;
    assert_eq!(urgent["priority"], 1, "{urgent}");
    let command = json!({"action": "identify", "args": {"peripheral": "printer"}});
    let given = stack.api().post("/api/v1/kiosks/K-0001/commands", command).await.unwrap();
    assert_eq!(given.status, 202, "{given:?}");
    stack.ticket("K-0002", "kiosk_offline").await;
    retire(stack, "K-0003").await;
}

/// One panel with one choice of variables; what it says within its patience.
async fn check(sources: &Sources, board: &str, panel: &Value, chosen: &Chosen) {
    let title = panel["title"].as_str().unwrap_or_default();
    let may_be_empty = empty_here::reason(board, title, chosen).is_some();
    let first = &panel["fieldConfig"]["overrides"][0]["matcher"];
    if *first == json!({"id": "byFrameRefID", "options": "A"}) {
        return check_verdict(sources, &format!("{board}: {title}"), panel, chosen, may_be_empty).await;
    }
    for target in panel["targets"].as_array().into_iter().flatten() {
        if check_mark(sources, &format!("{board}: {title}"), target, chosen, may_be_empty).await {
            continue;
        }
        let whole = [target.clone()];
        for target in whole.into_iter().chain(without_its_zero(target)) {
            let what = format!("{board}: {title}, {}, with {chosen:?}", target["refId"]);
            // Rates need two scrapes, ratios a rule that has run.
            wait_until(&what, PATIENCE, || async {
                match sources.ask(&target, chosen).await? {
                    Answer::Nothing if !may_be_empty => Err(format!("an empty answer to {target}")),
                    _ => Ok(()),
                }
            })
            .await;
        }
    }
}

/// Of a query that answers only where too little is known: it can be asked, and answers when it is asked of everything.
async fn check_mark(
    sources: &Sources,
    what: &str,
    target: &Value,
    chosen: &Chosen,
    may_be_empty: bool,
) -> bool {
    let Some(everything) = panel::of_everything(target) else { return false };
    wait_until(&format!("{what}, with {chosen:?}"), PATIENCE, || async {
        sources.ask(target, chosen).await?;
        match sources.ask(&everything, chosen).await? {
            Answer::Nothing if !may_be_empty => Err(format!("an empty answer to {everything}")),
            _ => Ok(()),
        }
    })
    .await;
    true
}

/// A panel with a query for what misses the target, for what meets it, and for what has none.
async fn check_verdict(sources: &Sources, what: &str, panel: &Value, chosen: &Chosen, may_be_empty: bool) {
    let targets = panel["targets"].as_array().unwrap();
    for mark in &targets[3..] {
        assert!(check_mark(sources, what, mark, chosen, may_be_empty).await, "{what}: {mark}");
    }
    let targets = &targets[..3];
    let is_promised = !matches!(chosen.get("ratio"), Some(Choice::One(ratio)) if ratio == "full");
    wait_until(&format!("{what}, with {chosen:?}"), PATIENCE, || async {
        let mut told = Vec::new();
        for target in targets {
            told.push(sources.ask(target, chosen).await? == Answer::Something);
        }
        let (judged, plain) = (told[0] || told[1], told[2]);
        assert!(if is_promised { !plain } else { !judged }, "{what}, with {chosen:?}: {told:?}");
        if judged || plain || may_be_empty { Ok(()) } else { Err(format!("nothing from {targets:?}")) }
    })
    .await;
    // Nothing red meets the target, nothing green misses it.
    let target_of = |expr: &str| {
        let is_over = expr.contains("period=\"last_month\"");
        if is_over { verdict::TARGET_OF_LAST_MONTH } else { verdict::TARGET }
    };
    for (index, wrong) in [(0, ">="), (1, "<")] {
        let mut target = targets[index].clone();
        let Some(expr) = target["expr"].as_str() else { continue };
        target["expr"] = json!(format!("({expr}) {wrong} scalar(max({}))", target_of(expr)));
        assert_eq!(sources.ask(&target, chosen).await, Ok(Answer::Nothing), "{what}: {target}");
    }
}

/// What stands before `or vector(0)`: that always answers, also in place of a name or a label that nobody writes.
fn without_its_zero(target: &Value) -> Option<Value> {
    let counted = target["expr"].as_str()?.strip_suffix(" or vector(0)")?;
    let mut target = target.clone();
    target["expr"] = json!(counted);
    Some(target)
}

/// Every address of the console that a dashboard leads to, with something that exists in the place of each
/// variable.
fn console_links(value: &Value, ticket: &str, month: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| console_links(one, ticket, month, found)),
        Value::Object(map) => map.values().for_each(|one| console_links(one, ticket, month, found)),
        Value::String(text) => {
            let Some(path) = text.strip_prefix("${console}") else { return };
            let path = path
                .replace("/tickets/${__value.text}", &format!("/tickets/{ticket}"))
                .replace("/kiosks/${__value.text}", "/kiosks/K-0001")
                .replace("/kiosks/${__data.fields[\"终端 / Kiosk\"]}", "/kiosks/K-0001")
                .replace("id=${__value.text}", "id=S-01")
                .replace("?q=${__value.text}", "?q=S-01")
                .replace("month=${__value.text}", &format!("month={month}"))
                .replace("month=${__data.fields[\"月份 / Month\"]}", &format!("month={month}"))
                .replace("scope=${__data.fields[\"类别 / Scope\"]}", "scope=site")
                .replace("id=${__data.fields[\"编号 / Id\"]}", "id=S-01")
                .replace("${kiosk}", "K-0001")
                .replace("${ratio}", "avail");
            assert!(!path.contains('$'), "a variable that this test does not know: {path}");
            found.push(path);
        }
        _ => {}
    }
}

async fn every_console_link_leads_somewhere(stack: &Stack, sources: &Sources) {
    let tickets = stack.api().list("/api/v1/tickets").await.unwrap();
    let ticket = tickets[0]["id"].as_str().unwrap();
    let month = &sources.clock.now().to_string()[..7];
    let mut links = Vec::new();
    boards().iter().for_each(|board| console_links(&board.json(), ticket, month, &mut links));
    assert!(links.len() > 5, "{links:?}");
    for link in links {
        is_a_page(stack, &link).await;
    }
}

/// A refusal looks like a page too.
async fn is_a_page(stack: &Stack, path: &str) {
    let shown = stack.api().get(path).await.unwrap();
    assert!(shown.status == 200 && shown.body.to_string().contains("<main"), "{path}: {shown:?}");
}

/// Every owner of a row of the Months and Quarters leads to a page of its own, whatever they are grouped by.
async fn every_owner_leads_somewhere(stack: &Stack, sources: &Sources) {
    let board = uptime_history::board().json();
    let tables = ["月度", "季度"].map(|zh| {
        let panels = board["panels"].as_array().unwrap();
        panels.iter().find(|panel| panel["title"].as_str().unwrap().starts_with(zh)).unwrap()
    });
    let mut pages = BTreeSet::new();
    for chosen in sources.choices(&board).await.unwrap() {
        for row in [sources.table(tables[0], &chosen).await, sources.table(tables[1], &chosen).await].concat()
        {
            let of = |column: &str| row[column].as_str().unwrap_or_else(|| panic!("{column}: {row}"));
            pages.insert(format!("/uptime?scope={}&id={}&month={}", of("scope"), of("id"), of("month")));
        }
    }
    for page in ["scope=engineer&id=Li&", "scope=region&id=north&", "scope=site&id=S-01&", "scope=fleet&id=&"]
    {
        assert!(pages.iter().any(|one| one.contains(page)), "{page}: {pages:?}");
    }
    for page in pages {
        is_a_page(stack, &page).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_of_every_dashboard_answers() {
    let database = Postgres::shared();
    let url = database.fresh_database().await;
    let (stack, sources) = answer(boards(), &url, true).await;
    every_console_link_leads_somewhere(&stack, &sources).await;
    every_owner_leads_somewhere(&stack, &sources).await;
}

/// Nobody has to run PostgreSQL for these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_that_asks_prometheus_answers_with_sqlite_alone() {
    let mut boards = boards();
    boards.retain(|board| board.folder() == "dashboards");
    assert!(boards.len() > 3);
    let dir = Workdir::new("kioskwatch-it").unwrap();
    let url = format!("sqlite://{}", dir.path().join("kioskwatch.sqlite").display());
    answer(boards, &url, false).await;
}

/// A stack with a past and some work in which every panel of these answers.
async fn answer(boards: Vec<Board>, url: &str, has_postgres: bool) -> (Stack, Sources) {
    Past::write(url, "K-0001", "S-01").await;
    let plan = Plan::new(program()).database(url.to_owned());
    let plan = plan.settings(&format!("{QUICK}\n[flood]\nmessages_per_s = 5\nmessage_burst = 100\n"));
    let mut stack = plan.kiosk("K-0001", "S-01").kiosk("K-0002", "S-02").start().await;
    let (process, prometheus) = prometheus(stack.dir.path(), stack.server.monitoring, None).unwrap();
    let postgres = match has_postgres {
        true => Some(Mutex::new(reader(url).await)),
        false => None,
    };
    // A counter that was at 1 when it was first seen has no rate.
    wait_until("the fleet to be scraped", PATIENCE + Duration::from_secs(15), || async {
        let answer = prometheus.json("/api/v1/query?query=kioskwatch_kiosk_up").await?;
        let seen = answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty());
        if seen { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    work(&mut stack).await;
    let _nonsense = Nonsense::begin(&stack, "K-0002").await;
    let sources = Sources { prometheus, postgres, clock: Clock::start(), _process: process };
    let mut asked = 0;
    let least = boards.len() * 10;
    for board in boards {
        let json = board.json();
        let choices = sources.choices(&json).await.unwrap_or_else(|error| panic!("{}: {error}", board.name));
        assert!(choices.iter().flat_map(|chosen| chosen.values()).all(|c| !c.is_empty()), "{choices:?}");
        for panel in json["panels"].as_array().unwrap() {
            for chosen in &choices {
                check(&sources, board.name, panel, chosen).await;
                asked += 1;
            }
        }
    }
    assert!(asked > least, "{asked} panels were asked");
    (stack, sources)
}

#[tokio::test]
async fn a_month_in_which_nothing_counted_is_neither_green_nor_red_and_one_of_which_little_is_known_says_so()
{
    let database = Postgres::shared();
    let mut connection = PgConnection::connect(&database.fresh_database().await).await.unwrap();
    let month = "CREATE TEMP TABLE v_uptime_month AS SELECT '2026-10' AS month, 1::bigint AS period_from_at,
        'S-01' AS site, 0 AS on_s, 0 AS on_of_s, 0::bigint AS avail_s, 0::bigint AS avail_of_s, 0 AS full_s,
        0 AS full_of_s, 99::bigint AS target_num, 100::bigint AS target_den, 0::bigint AS known_s,
        0::bigint AS accountable_s";
    connection.execute(month).await.unwrap();
    let file = deploy().join("grafana/dashboards-postgres/uptime-history.json");
    let board: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let is_latest = |panel: &&Value| panel["title"].as_str().unwrap().starts_with("最近月份");
    let panel = board["panels"].as_array().unwrap().iter().find(is_latest).unwrap();
    const ALL: i64 = 1_000_000;
    for (up, of, known, [missed, met, low], shown) in [
        (0, 0, 0, [0, 0, 0], 0.0),
        (98, 100, 89, [1, 0, 1], 0.98),
        (99, 100, 90, [0, 1, 0], 0.99),
        // 100 % and 0 % are said of all of it only, however near the rest is.
        (ALL - 1, ALL, ALL, [0, 1, 0], 0.9999),
        (ALL, ALL, ALL, [0, 1, 0], 1.0),
        (1, ALL, ALL, [1, 0, 0], 0.0001),
    ] {
        let set = format!(
            "UPDATE v_uptime_month SET avail_s = {up}, avail_of_s = {of}, accountable_s = {of}, known_s = {known}"
        );
        connection.execute(AssertSqlSafe(set)).await.unwrap();
        for (index, rows) in [missed, met, 0, low].into_iter().enumerate() {
            let query = panel["targets"][index]["rawSql"].as_str().unwrap();
            let query = query.replace("$__unixEpochFrom()", "0").replace("$__unixEpochTo()", "1");
            let query = query.replace("$ratio", "avail").replace("$site", "'S-01'");
            let answer = connection.fetch_all(AssertSqlSafe(query)).await.unwrap();
            assert_eq!(answer.len(), rows, "{up} of {of}, query {index}");
            for row in answer.iter().filter(|_| index < 2) {
                let ratio: f64 = row.get("ratio");
                assert!((ratio - shown).abs() < 1e-9, "{up} of {of} is {ratio}");
            }
        }
    }
}

#[tokio::test]
async fn a_quarter_of_which_a_month_lies_outside_of_the_time_shown_is_not_judged_by_the_rest() {
    let database = Postgres::shared();
    let mut connection = PgConnection::connect(&database.fresh_database().await).await.unwrap();
    // The fourth quarter of 2026 runs in its second month.
    let months = "CREATE TEMP TABLE v_uptime_month AS SELECT to_char(m, 'YYYY-MM') AS month,
        to_char(m, 'YYYY-\"Q\"Q') AS quarter, extract(epoch FROM m)::bigint * 1000 AS period_from_at,
        'S-01' AS site, 'hall' AS site_name, '' AS region, '' AS customer, '' AS engineer, '' AS model, 'K' AS kiosk,
        99::bigint AS on_s, 100::bigint AS on_of_s, 99::bigint AS avail_s, 100::bigint AS avail_of_s,
        99::bigint AS full_s, 100::bigint AS full_of_s, 99::bigint AS target_num, 100::bigint AS target_den,
        100::bigint AS known_s, 100::bigint AS accountable_s, 1::bigint AS outages, 1::bigint AS longest_outage_s,
        1::bigint AS version, 'frozen' AS state
        FROM generate_series('2026-04-01'::timestamptz, '2026-11-01', interval '1 month') AS m";
    connection.execute("SET timezone = 'UTC'").await.unwrap();
    connection.execute(months).await.unwrap();
    let board = uptime_history::board().json();
    let is_quarters = |panel: &&Value| panel["title"].as_str().unwrap().starts_with("季度");
    let panel = board["panels"].as_array().unwrap().iter().find(is_quarters).unwrap();
    let query = panel["targets"][0]["rawSql"].as_str().unwrap();
    let query = query.replace("$ratio", "avail").replace("$by", "fleet").replace("$site", "'S-01'");
    let first_of = |month| format!("extract(epoch FROM '2026-{month:02}-01'::timestamptz)");
    for (from, to, expected) in [
        (4, 12, vec!["2026-Q4", "2026-Q3", "2026-Q2"]),
        (5, 12, vec!["2026-Q4", "2026-Q3"]),
        (4, 8, vec!["2026-Q2"]),
        (7, 9, vec!["2026-Q3"]),
        (5, 5, vec![]),
    ] {
        let query = query.replace("$__unixEpochFrom()", &first_of(from));
        let query = query.replace("$__unixEpochTo()", &first_of(to));
        let rows = connection.fetch_all(AssertSqlSafe(query)).await.unwrap();
        let quarters: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, "period")).collect();
        assert_eq!(quarters, expected, "{from} to {to}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_kiosk_and_the_first_ticket_no_panel_fails() {
    let database = Postgres::shared();
    let url = database.fresh_database().await;
    let stack = Plan::new(program()).database(url.clone()).start_without_kiosks().await;
    let (process, prometheus) = prometheus(stack.dir.path(), stack.server.monitoring, None).unwrap();
    let postgres = Some(Mutex::new(become_reader(&url).await));
    wait_until("Prometheus to answer", PATIENCE, || async { prometheus.json("/api/v1/query?query=1").await })
        .await;
    let sources = Sources { prometheus, postgres, clock: Clock::start(), _process: process };
    for (up, shown) in [(0, 0.0), (1, 0.0001), (999_999, 0.9999), (1_000_000, 1.0)] {
        let ratio = panel::honest(&format!("(vector({up}) / 1000000)"));
        let found = sources.value(&ratio).await.unwrap();
        assert!((found - shown).abs() < 1e-9, "{up} of a million is {found}");
    }
    for board in boards() {
        let json = board.json();
        for chosen in sources.choices(&json).await.unwrap() {
            for target in
                json["panels"].as_array().unwrap().iter().flat_map(|p| p["targets"].as_array().unwrap())
            {
                let answer = sources.ask(target, &chosen).await;
                assert!(answer.is_ok(), "{}: {answer:?}", board.name);
            }
        }
    }
}
