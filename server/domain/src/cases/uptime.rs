//! Cases of the uptime definitions.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use kioskwatch_proto::{KioskId, Timestamp};
use serde_json::Value;

use super::Fields;
use super::output::object;
use crate::calendar::WorkCalendar;
use crate::change::{Admission, AssignmentRow, EvidenceState, GroupKind, KioskRow};
use crate::interval::{END, Interval, IntervalSet};
use crate::json::{Node, ReadError as CaseError};
use crate::service_hours::Schedule;
use crate::uptime::booking::{measure, owners};
use crate::uptime::restate::{FREEZE_HOURS, freeze_at};
use crate::uptime::{Cause, Evidence, Figures, Inputs, LiveSpan, Ratio, Source, State, Timeline, live};

/// Interval and timeout of heartbeats when a file does not give its own.
const HEARTBEAT_INTERVAL_S: u32 = 60;
const HEARTBEAT_TIMEOUT_S: i64 = 180;

/// The policy all cases of a file share.
pub(super) struct Header {
    interval_s: u32,
    timeout_s: i64,
    freeze_hours: i64,
}

/// One kiosk's inputs, owned.
struct Kiosk {
    period: Interval,
    as_of: Option<i64>,
    freeze_at: i64,
    service: IntervalSet,
    commissioned: IntervalSet,
    exclusions: IntervalSet,
    server_down: IntervalSet,
    evidence: Vec<Evidence>,
}

impl Header {
    pub(super) fn read(file: &Node<'_>) -> Result<Self, CaseError> {
        let policy = file.get("policy_defaults");
        let value = |key: &str, default: i64| match &policy {
            Some(policy) => policy.or(key, default, Node::int),
            None => Ok(default),
        };
        let interval_s = u32::try_from(value("hb_interval_s", HEARTBEAT_INTERVAL_S.into())?)
            .map_err(|_| file.error("hb_interval_s is no number of seconds that a heartbeat may announce"))?;
        Ok(Self {
            interval_s,
            timeout_s: value("hb_timeout_s", HEARTBEAT_TIMEOUT_S)?,
            freeze_hours: value("freeze_hours", FREEZE_HOURS)?,
        })
    }

    pub(super) fn evaluate(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        match case.maybe("type", Node::text)? {
            None => self.single(case),
            Some("aggregate") => self.aggregate(case),
            Some(other) => Err(case.error(format!("type \"{other}\" is not \"aggregate\""))),
        }
    }

    fn single(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let zone = case.need("tz")?.zone()?;
        let kiosk = self.kiosk(case, &case.need("period")?, zone)?;
        let official = kiosk.timeline(true).figures();
        let mut out = Fields::new();
        out.insert("official".to_owned(), figures(&official));
        if case.or("restate", false, Node::flag)? {
            out.insert("restated".to_owned(), figures(&kiosk.timeline(false).figures()));
        }
        if let Some((a, b)) = case.maybe("slo", Node::pair)? {
            out.insert("slo_met".to_owned(), Value::from(official.avail.meets(a.int()?, b.int()?)));
        }
        Ok(out)
    }

    fn aggregate(&self, case: &Node<'_>) -> Result<Fields, CaseError> {
        let zone = case.need("tz")?.zone()?;
        let row = somebody(case)?;
        let mut groups: BTreeMap<String, Figures> = BTreeMap::new();
        for entry in case.need("kiosks")?.items()? {
            let zone = entry.or("tz", zone, Node::zone)?;
            let kiosk = self.kiosk(&entry, &case.need("period")?, zone)?;
            let mut assigned = Vec::new();
            for (group, when) in entry.need("owner")?.entries()? {
                groups.entry(group.to_owned()).or_default();
                assigned.extend(when.interval_set(zone)?.iter().map(|span| assignment(&row.id, group, span)));
            }
            for (owner, set) in owners(&row, &assigned.iter().collect::<Vec<_>>()) {
                if let Some(figures) = owner.engineer.and_then(|group| groups.get_mut(&group)) {
                    *figures += &measure(&kiosk.inputs(true), &set).figures;
                }
            }
        }
        let total: Figures = groups.values().sum();
        let mut out: Fields = groups.iter().map(|(group, sums)| (group.clone(), figures(sums))).collect();
        out.insert("TOTAL".to_owned(), figures(&total));
        Ok(out)
    }

    fn kiosk(&self, node: &Node<'_>, period: &Node<'_>, zone: Tz) -> Result<Kiosk, CaseError> {
        let period = period.interval(zone)?;
        let mut evidence =
            node.list("evidence")?.iter().map(|entry| claim(entry, zone)).collect::<Result<Vec<_>, _>>()?;
        if let Some(heartbeats) = node.get("heartbeats") {
            evidence.extend(self.heartbeats(&heartbeats, zone)?);
        }
        let calendar = node.maybe("calendar", WorkCalendar::of_days)?.unwrap_or_default();
        let schedule = node.maybe("service_hours", Schedule::read)?.unwrap_or_else(Schedule::always_open);
        Ok(Kiosk {
            period,
            as_of: node.maybe("as_of", |at| at.instant(zone))?,
            freeze_at: freeze_at(period.to, self.freeze_hours),
            service: schedule.open_times(zone, &calendar, period),
            commissioned: node
                .maybe("commissioned", |set| set.interval_set(zone))?
                .unwrap_or_else(IntervalSet::always),
            exclusions: approved(&node.list("exclusions")?, zone)?,
            server_down: node.maybe("server_down", |set| set.interval_set(zone))?.unwrap_or_default(),
            evidence,
        })
    }

    fn heartbeats(&self, node: &Node<'_>, zone: Tz) -> Result<Vec<Evidence>, CaseError> {
        let says = node.need("state")?;
        let state =
            EvidenceState::parse(state(&says)?.as_str()).ok_or_else(|| says.error("cannot be stored"))?;
        let beat =
            |time: &Node<'_>| Ok(LiveSpan::beat(ms(time.instant(zone)?), self.interval_s, state, None));
        let beats: Vec<LiveSpan> =
            node.need("times")?.items()?.iter().map(beat).collect::<Result<_, CaseError>>()?;
        Ok(live::evidence_of(&somebody(node)?.id, &beats, Some(self.timeout_s.saturating_mul(1_000))))
    }
}

impl Kiosk {
    fn timeline(&self, official: bool) -> Timeline {
        Timeline::build(&self.inputs(official))
    }

    fn inputs(&self, official: bool) -> Inputs<'_> {
        Inputs {
            period: self.period,
            as_of: self.as_of,
            service: &self.service,
            commissioned: &self.commissioned,
            exclusions: &self.exclusions,
            server_down: &self.server_down,
            evidence: &self.evidence,
            received_before: official.then_some(self.freeze_at),
        }
    }
}

/// Whose case it is does not matter.
fn somebody(node: &Node<'_>) -> Result<KioskRow, CaseError> {
    Ok(KioskRow {
        id: KioskId::new("case").map_err(|error| node.error(error.to_string()))?,
        site: None,
        admission: Admission::Accepted,
        model: String::new(),
        serial_no: String::new(),
        commissioned_at: None,
        decommissioned_at: None,
        updated_at: ms(0),
    })
}

/// Groups of a case have any name, as engineers do.
fn assignment(kiosk: &KioskId, group: &str, span: Interval) -> AssignmentRow {
    AssignmentRow {
        kiosk: kiosk.clone(),
        group: GroupKind::Engineer,
        group_id: group.to_owned(),
        from: ms(span.from),
        to: (span.to < END).then(|| ms(span.to)),
        said: None,
    }
}

const fn ms(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000))
}

fn claim(node: &Node<'_>, zone: Tz) -> Result<Evidence, CaseError> {
    let src = node.or("src", Source::Live, |src| {
        Source::named(src.text()?).ok_or_else(|| src.error("is neither \"journal\" nor \"live\""))
    })?;
    let on_device = Evidence {
        src,
        from: node.need("from")?.instant(zone)?,
        to: node.need("to")?.instant(zone)?,
        state: state(&node.need("state")?)?,
        cause: node.maybe("cause", cause)?,
        recv: node.maybe("recv", |recv| recv.instant(zone))?,
        interval_s: None,
    };
    Ok(on_device.from_device_clock(node.or("skew_s", 0, Node::int)?))
}

fn state(node: &Node<'_>) -> Result<State, CaseError> {
    let names = State::ALL.map(State::as_str).join(", ");
    State::named(node.text()?).ok_or_else(|| node.error(format!("is none of {names}")))
}

fn cause(node: &Node<'_>) -> Result<Cause, CaseError> {
    let names = Cause::ALL.map(Cause::as_str).join(", ");
    Cause::named(node.text()?).ok_or_else(|| node.error(format!("is none of {names}")))
}

fn approved(exclusions: &[Node<'_>], zone: Tz) -> Result<IntervalSet, CaseError> {
    let mut windows = Vec::new();
    for one in exclusions {
        let window = Interval::new(one.need("from")?.instant(zone)?, one.need("to")?.instant(zone)?);
        if one.need("approved")?.flag()? {
            windows.push(window);
        }
    }
    Ok(windows.into_iter().collect())
}

fn figures(figures: &Figures) -> Value {
    let causes = figures.causes.iter().map(|(cause, s)| (cause.as_str().to_owned(), Value::from(*s)));
    object([
        ("accountable_s", Value::from(figures.accountable_s)),
        ("known_s", Value::from(figures.known_s)),
        ("coverage", Value::from(figures.coverage().text())),
        ("on", ratio(figures.on)),
        ("avail", ratio(figures.avail)),
        ("full", ratio(figures.full)),
        ("online", ratio(figures.online)),
        ("down_causes_s", Value::Object(causes.collect())),
    ])
}

fn ratio(ratio: Ratio) -> Value {
    object([
        ("num", Value::from(ratio.num)),
        ("den", Value::from(ratio.den)),
        ("ratio", Value::from(ratio.text())),
        ("display", Value::from(ratio.display())),
    ])
}
