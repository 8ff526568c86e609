//! The cases of the uptime definition, counted from rows of the store as a server counts: the command `evaluate` takes
//! the same cases without a database.
use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Datelike as _, NaiveDateTime};
use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::*,
    interval::{Interval, IntervalSet},
    uptime::{Evidence, Figures, LiveSpan, Source, live},
    wall,
};
use kioskwatch_proto::{KioskId, Timestamp};
use kioskwatch_server::{
    app::{Live, UptimePeriod, UptimeQuery, UptimeReader, UptimeScope},
    config::Config,
    store::{Scope, Store},
};
use serde_json::{Value, json};

use super::{Empty, membership::commissioned, rows::*};

const HEARTBEATS_S: u32 = 60;
const TIMEOUT_MS: i64 = 180_000;
/// A month is signed so long after its end.
const FREEZE_S: i64 = 86_400;
/// Before all of them, and after.
const BEGINNING_S: i64 = 1_577_836_800;
const END_S: i64 = 1_798_761_600;

const fn ms(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000)
}

/// A date-time of a case, on the clock of its zone unless it says another; null is the end of all of them.
fn instant(zone: &str, value: &Value) -> i64 {
    let Some(text) = value.as_str() else { return END_S };
    if let Ok(at) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%:z") {
        return at.timestamp();
    }
    let read = |format| NaiveDateTime::parse_from_str(text, format);
    let local = read("%Y-%m-%dT%H:%M:%S").or_else(|_| read("%Y-%m-%dT%H:%M")).unwrap();
    wall::instant_of(zone.parse().unwrap(), local)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn span(zone: &str, pair: &Value) -> Interval {
    Interval::new(instant(zone, &pair[0]), instant(zone, &pair[1]))
}

fn zone_of<'a>(case: &'a Value, node: &'a Value) -> &'a str {
    node["tz"].as_str().or(case["tz"].as_str()).unwrap()
}

/// What a case hears beyond what all of them hear.
struct Heard(Vec<LivenessRow>);

impl Live for Heard {
    fn evidence(&self, _: &KioskId) -> Vec<Evidence> {
        Vec::new()
    }

    fn hearing(&self) -> Vec<LivenessRow> {
        self.0.clone()
    }

    fn unstored_since(&self, _: &KioskId) -> Option<Timestamp> {
        None
    }
}

/// A kiosk of a case as rows. `interval_s`: what its heartbeats announced.
fn told(zone: &str, id: &str, node: &Value, interval_s: Option<u32>) -> Vec<Change> {
    let place = SiteRow {
        timezone: zone.into(),
        service_hours: node.get("service_hours").map_or(String::new(), Value::to_string),
        ..site(id)
    };
    let row = KioskRow { commissioned_at: Some(ms(BEGINNING_S)), ..kiosk(id, Some(id)) };
    let mut changes = vec![Change::Site(place)];
    let stretches: Vec<ServiceSpan> = list(&node["commissioned"])
        .iter()
        .map(|pair| ServiceSpan {
            commissioned_at: Some(ms(instant(zone, &pair[0]))),
            decommissioned_at: pair[1].is_string().then(|| ms(instant(zone, &pair[1]))),
        })
        .collect();
    match stretches.last() {
        None => changes.push(Change::Kiosk(row)),
        Some(last) => {
            changes.push(Change::Kiosk(last.put_into(&row)));
            changes.push(commissioned(id, CommissionedRow::ALWAYS, &stretches));
        }
    }
    for one in list(&node["exclusions"]) {
        let approved = one["approved"].as_bool().unwrap();
        changes.push(Change::Exclusion(ExclusionRow {
            id: uuid::Uuid::new_v4(),
            kiosk: Some(kiosk_id(id)),
            site: None,
            class: one["class"].as_str().unwrap().into(),
            from: ms(instant(zone, &one["from"])),
            to: ms(instant(zone, &one["to"])),
            requested_by: "one".into(),
            approved_by: approved.then(|| "another".into()),
            approved_at: approved.then_some(ms(BEGINNING_S)),
            agreed_at: None,
            withdrawn: None,
            reason: "agreed".into(),
        }));
    }
    let beats = list(&node["heartbeats"]["times"]).iter().map(|time| {
        let state = EvidenceState::parse(node["heartbeats"]["state"].as_str().unwrap()).unwrap();
        LiveSpan::beat(ms(instant(zone, time)), HEARTBEATS_S, state, None)
    });
    let beats: Vec<LiveSpan> = beats.collect();
    let heard = live::evidence_of(&kiosk_id(id), &beats, Some(TIMEOUT_MS)).into_iter().map(|one| {
        (one.src, one.from, one.to, EvidenceState::parse(one.state.as_str()).unwrap(), None, None)
    });
    let said = list(&node["evidence"]).iter().map(|one| {
        let ahead_s = one["skew_s"].as_i64().unwrap_or(0);
        (
            one["src"].as_str().map_or(Source::Live, |src| Source::named(src).unwrap()),
            instant(zone, &one["from"]) - ahead_s,
            instant(zone, &one["to"]) - ahead_s,
            EvidenceState::parse(one["state"].as_str().unwrap()).unwrap(),
            one["cause"].as_str().map(ToOwned::to_owned),
            one.get("recv").map(|recv| ms(instant(zone, recv))),
        )
    });
    changes.extend(heard.chain(said).map(|(source, from, to, state, cause, received_at)| {
        let is_live = source == Source::Live;
        Change::Evidence(EvidenceRow {
            kiosk: kiosk_id(id),
            source: if is_live { EvidenceSource::Live } else { EvidenceSource::Journal },
            from: ms(from),
            to: ms(to),
            state,
            cause,
            received_at,
            epoch: None,
            seq: None,
            interval_s: interval_s.filter(|_| is_live),
        })
    }));
    changes
}

fn integers(figures: &Figures) -> Value {
    let ratio = |one: kioskwatch_domain::uptime::Ratio| json!([one.num, one.den]);
    let causes: BTreeMap<&str, i64> = figures.causes.iter().map(|(cause, s)| (cause.as_str(), *s)).collect();
    json!({
        "accountable_s": figures.accountable_s,
        "known_s": figures.known_s,
        "on": ratio(figures.on),
        "avail": ratio(figures.avail),
        "full": ratio(figures.full),
        "online": ratio(figures.online),
        "down_causes_s": causes,
    })
}

/// The same of what a case expects.
fn expected(figures: &Value) -> Value {
    let ratio = |name: &str| json!([figures[name]["num"], figures[name]["den"]]);
    json!({
        "accountable_s": figures["accountable_s"],
        "known_s": figures["known_s"],
        "on": ratio("on"),
        "avail": ratio("avail"),
        "full": ratio("full"),
        "online": ratio("online"),
        "down_causes_s": figures["down_causes_s"],
    })
}

/// The name of a case's kiosk, its site and its engineers, with what its heartbeats announced.
fn named(case: &Value, interval_s: Option<u32>) -> String {
    format!("{}-{}", case["id"].as_str().unwrap(), interval_s.unwrap_or(0))
}

/// All of a case.
fn rows(case: &Value, interval_s: Option<u32>) -> Vec<Change> {
    let (id, tz) = (named(case, interval_s), case["tz"].as_str().unwrap());
    if case["kiosks"].is_null() {
        return told(tz, &id, case, interval_s);
    }
    let mut changes = Vec::new();
    for one in list(&case["kiosks"]) {
        let kiosk = format!("{id}-{}", one["name"].as_str().unwrap());
        changes.extend(told(zone_of(case, one), &kiosk, one, interval_s));
        for (group, spans) in one["owner"].as_object().unwrap() {
            changes.extend(list(spans).iter().map(|pair| {
                Change::Assignment(AssignmentRow {
                    kiosk: kiosk_id(&kiosk),
                    group: GroupKind::Engineer,
                    group_id: format!("{id} {group}"),
                    from: ms(instant(tz, &pair[0])),
                    to: pair[1].is_string().then(|| ms(instant(tz, &pair[1]))),
                    said: None,
                })
            }));
        }
    }
    changes
}

/// What a case comes to by the rows of its kiosks: by the name that the case gives the figures.
async fn counted(store: &Store, case: &Value, interval_s: Option<u32>) -> BTreeMap<String, Value> {
    let (id, tz) = (named(case, interval_s), case["tz"].as_str().unwrap());
    let period = span(tz, &case["period"]);
    let up = IntervalSet::of(Interval::new(BEGINNING_S, END_S))
        .subtract(&list(&case["server_down"]).iter().map(|pair| span(tz, pair)).collect());
    let up = up.iter().zip(1..).map(|(part, n)| LivenessRow {
        server: uuid(n),
        from: ms(part.from),
        to: ms(part.to),
    });
    let live = Heard(up.collect());
    let off_work = [&case["calendar"]["off"], &case["calendar"]["work"]]
        .map(|days| list(days).iter().map(|day| day.as_str().unwrap().parse().unwrap()).collect::<Vec<_>>());
    let calendar = WorkCalendar::from_lists(&off_work[0], &off_work[1]);
    let config = Config::default();
    let reader = UptimeReader { store, config: &config, calendar: &calendar, now: ms(END_S), live: &live };
    let zones: Vec<&str> = list(&case["kiosks"]).iter().map(|one| zone_of(case, one)).collect();
    let first = wall::date_of(tz.parse().unwrap(), period.from);
    let (year, month) = (first.year(), first.month());
    let asked = if wall::month(tz.parse().unwrap(), year, month) == Some(period) {
        UptimePeriod::Month { year, month }
    } else if zones.iter().any(|zone| *zone != tz) {
        UptimePeriod::DayOf(ms(period.from + 43_200))
    } else {
        UptimePeriod::Between(ms(period.from), ms(period.to))
    };
    let as_of = case.get("as_of").map_or(period.to + FREEZE_S, |at| instant(tz, at));
    let figures = async |scope, as_of| {
        let query = UptimeQuery { as_of, ..UptimeQuery::of(scope, asked) };
        reader.figures(&Scope::All, &query).await.unwrap().sums.figures
    };
    let mut found = BTreeMap::new();
    if case["kiosks"].is_null() {
        let scope = UptimeScope::Kiosk(kiosk_id(&id));
        found.insert("official".to_owned(), integers(&figures(scope.clone(), Some(ms(as_of))).await));
        if case["restate"].as_bool().unwrap_or(false) {
            found.insert("restated".to_owned(), integers(&figures(scope, None).await));
        }
        return found;
    }
    let mut groups = BTreeMap::new();
    let owners = list(&case["kiosks"]).iter().filter_map(|one| one["owner"].as_object());
    for group in owners.flat_map(|owners| owners.keys()) {
        let scope = UptimeScope::Engineer(format!("{id} {group}"));
        groups.insert(group.clone(), figures(scope, Some(ms(as_of))).await);
    }
    found.insert("TOTAL".to_owned(), integers(&groups.values().sum()));
    found.extend(groups.iter().map(|(group, sum)| (group.clone(), integers(sum))));
    found
}

pub(crate) async fn cases_of_the_definition_come_to_the_same_from_rows(empty: Empty) {
    let store = empty.open().await;
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("server/domain/tests/cases/uptime.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let cases = list(&file["cases"]);
    assert_eq!(cases.len(), 28);
    let announced = [None, Some(HEARTBEATS_S)];
    let all = cases.iter().flat_map(|case| announced.iter().flat_map(|interval_s| rows(case, *interval_s)));
    store.commit(&all.collect::<Vec<_>>()).await.unwrap();
    let mut shorter = Vec::new();
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let figures = case["expect"].as_object().unwrap().iter().filter(|(_, of)| of.is_object());
        let wanted: BTreeMap<String, Value> =
            figures.map(|(name, of)| (name.clone(), expected(of))).collect();
        assert_eq!(counted(&store, case, None).await, wanted, "{id}");
        let outages = list(&case["server_down"]);
        if outages.is_empty() {
            continue;
        }
        // After one of ours the first heartbeat is waited for: the one difference, by an interval an outage.
        let bound_s = i64::from(HEARTBEATS_S) * i64::try_from(outages.len()).unwrap();
        let waited = counted(&store, case, Some(HEARTBEATS_S)).await;
        for (name, wanted) in &wanted {
            for ratio in ["on", "avail", "full", "online"] {
                let less = |n: usize| {
                    let seconds = |figures: &Value| figures[ratio][n].as_i64().unwrap();
                    seconds(wanted) - seconds(&waited[name])
                };
                let (num, den) = (less(0), less(1));
                assert!(
                    (0..=bound_s).contains(&den) && (0..=den).contains(&num),
                    "{id} {ratio}: {num} of {den}"
                );
                shorter.extend((den > 0).then_some((id, ratio, den)));
            }
        }
    }
    assert_eq!(shorter, [("U08", "online", 60), ("U09", "online", 60), ("U19", "online", 60)]);
}
