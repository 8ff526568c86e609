//! `/uptime`: figures as integers, ratios only as text beside them.
use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use kioskwatch_domain::{
    change::MonthSums,
    uptime::{Cause, Margin, Month, Ratio, Reliability, month::NoMonth},
};
use kioskwatch_proto::{Timestamp, limits::MAX_TEXT_CHARS};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Params, Problem, Web,
    caller::{May, See},
    input::{MAX_PERIOD_MS, parse, time},
    openapi::Failures,
};
use crate::{
    app::{DecisionError, Measure, UptimeError, UptimePeriod, UptimeQuery, UptimeScope},
    store::WorstKiosk,
};

/// Whose figures and for which time: a month, or a span, or the month that runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UptimeParams {
    /// `kiosk`, `site`, `region`, `customer`, `engineer`, `model`, `fleet` (default).
    scope: Option<String>,
    /// Id or name of the scope; not for `fleet`.
    id: Option<String>,
    /// `2026-10`: the local month of each kiosk's zone.
    month: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// What had been received and approved at this instant about the time before it: of a month the version that
    /// stood then; default now. What arrived within ten minutes of what it proves counts as received at once. What no
    /// books say is counted from the evidence of each kiosk, of more than 2,000 for one question after the other: of a
    /// large fleet that takes a minute, and 503 `busy` says that too many wait.
    as_of: Option<String>,
    /// By which ratio the worst of a group are named: `on`, `avail` (default) or `full`. Outages are those of `avail`.
    measure: Option<String>,
}

/// The figures of a scope and period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UptimeView {
    #[serde(flatten)]
    sums: SumsView,
    /// The highest version among the kiosks: 0 while none is signed, 1 as signed, 2, 3 … restated.
    version: u32,
    /// Every kiosk's month is signed: these figures change by a restatement only.
    signed: bool,
    /// Of a signed month: what was received or approved then or later is not in its version 1.
    #[schema(value_type = Option<String>, format = DateTime)]
    frozen_at: Option<Timestamp>,
    /// Up to where time had passed.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    kiosks: usize,
    /// Of a group: the ten kiosks that lost most of `worst_by`.
    worst: Vec<WorstView>,
    /// `on`, `avail` or `full`, as was asked for.
    worst_by: &'static str,
    /// Of an engineer: availability without the seconds that the customer's power, network or host caused.
    engineer: Option<RatioView>,
    /// What could not be read and how it was counted instead.
    problems: Vec<String>,
}

/// The integers, and what follows from them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UptimeSums)]
pub(crate) struct SumsView {
    /// Seconds we answer for.
    accountable_s: i64,
    /// What approved exclusions took out of them.
    excluded_s: i64,
    /// 开机率.
    on: RatioView,
    /// 可用率.
    avail: RatioView,
    /// 全功能率.
    full: RatioView,
    /// 在线率, a diagnosis of the line.
    online: RatioView,
    /// The contract ratios as they were without any exclusion.
    raw: RawView,
    /// Share of the accountable time that is known: six decimals, or null.
    coverage: Option<String>,
    /// Less than 0.9 of it is known: the figures say little.
    insufficient_data: bool,
    /// Seconds down in `avail`, by cause.
    causes: BTreeMap<&'static str, i64>,
    outages: OutagesView,
    /// Availability against its target, of a signed month that which was promised for it; null without time to
    /// measure.
    target: Option<TargetView>,
    /// The same for 开机率.
    target_on: Option<TargetView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RawRatios)]
pub(crate) struct RawView {
    on: RatioView,
    avail: RatioView,
    full: RatioView,
}

/// Stretches that `avail` counts as down, whichever ratio is looked at; closed and forgiven time neither ends nor lengthens one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outages)]
pub(crate) struct OutagesView {
    count: i64,
    /// By the cause of their first second; only causes that began one. With `not_told_by_cause` they add up to `count`.
    by_cause: BTreeMap<&'static str, i64>,
    /// Those of months that an older version signed, which did not note it.
    not_told_by_cause: i64,
    longest_s: i64,
    /// Of one kiosk: when the longest began.
    #[schema(value_type = Option<String>, format = DateTime)]
    longest_at: Option<Timestamp>,
    /// Mean time between failures and to repair; null without an outage.
    mtbf_s: Option<i64>,
    mttr_s: Option<i64>,
}

/// A target of `num/den`, compared exactly.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Target)]
pub(crate) struct TargetView {
    num: i64,
    den: i64,
    met: bool,
    /// Seconds that may be down without missing it, and what is left of them.
    allowed_down_s: i64,
    left_s: i64,
    /// The ratio with one more hour down, and whether that would meet it.
    after_one_hour: RatioView,
    met_after_one_hour: bool,
}

/// A kiosk among the worst.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorstKiosk)]
pub(crate) struct WorstView {
    kiosk: String,
    /// Seconds that it lost of `worst_by`.
    down_s: i64,
    on: RatioView,
    avail: RatioView,
    full: RatioView,
    /// Of `avail`.
    longest_outage_s: i64,
}

impl SumsView {
    pub(super) fn of(sums: &MonthSums, target: (i64, i64)) -> Self {
        let figures = &sums.figures;
        let reliability = Reliability::of(figures.avail, sums.outages);
        Self {
            accountable_s: figures.accountable_s,
            excluded_s: sums.excluded_s,
            on: figures.on.into(),
            avail: figures.avail.into(),
            full: figures.full.into(),
            online: figures.online.into(),
            raw: RawView { on: sums.raw_on.into(), avail: sums.raw_avail.into(), full: sums.raw_full.into() },
            coverage: figures.coverage().text(),
            insufficient_data: figures.has_insufficient_data(),
            causes: named(&figures.causes),
            outages: OutagesView {
                count: sums.outages,
                by_cause: named(&sums.outages_by_cause),
                not_told_by_cause: sums.not_told_by_cause(),
                longest_s: sums.longest_outage_s,
                longest_at: sums.longest_outage_at,
                mtbf_s: reliability.map(|one| one.mtbf_s),
                mttr_s: reliability.map(|one| one.mttr_s),
            },
            target: TargetView::of(figures.avail, target),
            target_on: TargetView::of(figures.on, target),
        }
    }
}

fn named(causes: &BTreeMap<Cause, i64>) -> BTreeMap<&'static str, i64> {
    causes.iter().map(|(cause, number)| (cause.as_str(), *number)).collect()
}

impl TargetView {
    fn of(ratio: Ratio, (num, den): (i64, i64)) -> Option<Self> {
        let margin = Margin::of(ratio, (num, den))?;
        Some(Self {
            num,
            den,
            met: margin.met,
            allowed_down_s: margin.allowed_down_s,
            left_s: margin.left_s,
            after_one_hour: margin.after_one_hour.into(),
            met_after_one_hour: margin.met_after_one_hour,
        })
    }
}

impl From<WorstKiosk> for WorstView {
    fn from(one: WorstKiosk) -> Self {
        Self {
            kiosk: one.kiosk.to_string(),
            down_s: one.lost_s,
            on: one.on.into(),
            avail: one.avail.into(),
            full: one.full.into(),
            longest_outage_s: one.longest_outage_s,
        }
    }
}

/// Seconds over seconds; `ratio` has six decimals, or is null without time to measure.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ratio)]
pub(crate) struct RatioView {
    num: i64,
    den: i64,
    ratio: Option<String>,
}

impl From<Ratio> for RatioView {
    fn from(ratio: Ratio) -> Self {
        Self { num: ratio.num, den: ratio.den, ratio: ratio.text() }
    }
}

/// The three ratios, the causes of what is missing, and how much is known at all.
#[utoipa::path(get, path = "/api/v1/uptime", tag = "figures", operation_id = "get_uptime",
    params(UptimeParams), responses((status = 200, body = UptimeView), Failures))]
pub(super) async fn get(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Params(params): Params<UptimeParams>,
) -> Result<Json<UptimeView>, Problem> {
    let query = params.query(&web)?;
    let answer = web.app().uptime(caller.scope(), &query).await?;
    Ok(Json(UptimeView {
        sums: SumsView::of(&answer.sums, answer.target),
        version: answer.version,
        signed: answer.signed,
        frozen_at: answer.frozen_at.map(|s| Timestamp(s.saturating_mul(1_000))),
        as_of: answer.as_of,
        kiosks: answer.kiosks,
        worst: answer.worst.into_iter().map(Into::into).collect(),
        worst_by: query.worst_by.as_str(),
        engineer: matches!(query.scope, UptimeScope::Engineer(_))
            .then(|| answer.sums.figures.engineer_kpi().into()),
        problems: answer.problems,
    }))
}

impl UptimeParams {
    fn query(&self, web: &Web) -> Result<UptimeQuery, Problem> {
        let as_of = self.as_of.as_deref().map(|text| time("as_of", text)).transpose()?;
        Ok(UptimeQuery {
            scope: uptime_scope(self.scope.as_deref().unwrap_or("fleet"), self.id.as_deref())?,
            period: self.period(web)?,
            as_of,
            worst_by: self.measure.as_deref().map_or(Ok(Measure::Avail), measure)?,
        })
    }

    fn period(&self, web: &Web) -> Result<UptimePeriod, Problem> {
        let now = web.app().clock().now();
        match (&self.month, &self.from, &self.to) {
            (None, None, None) => {
                let (year, month) = web.app().month_of(now);
                Ok(UptimePeriod::Month { year, month })
            }
            (Some(text), None, None) => {
                let month: Month = text.parse().map_err(|error: NoMonth| {
                    let shown: String = text.chars().take(40).collect();
                    Problem::bad_request("bad_query", format!("month={shown:?} is no month: {error}"))
                })?;
                Ok(UptimePeriod::Month { year: month.year(), month: month.month() })
            }
            (None, Some(from), to) => {
                let to = to.as_deref().map_or(Ok(now), |text| time("to", text))?;
                let from = time("from", from)?;
                if to.since(from) > MAX_PERIOD_MS {
                    return Err(Problem::bad_request("bad_query", "the period is longer than 400 days"));
                }
                Ok(UptimePeriod::Between(from, to))
            }
            _ => Err(Problem::bad_request("bad_query", "give month, or from and to")),
        }
    }
}

fn measure(text: &str) -> Result<Measure, Problem> {
    let unknown = || Problem::bad_request("bad_query", "measure is one of on, avail, full");
    Measure::named(text).ok_or_else(unknown)
}

/// The scope of a kind and the id or name that goes with it.
pub(crate) fn uptime_scope(kind: &str, id: Option<&str>) -> Result<UptimeScope, Problem> {
    let id = || {
        let missing = || Problem::bad_request("bad_query", format!("scope={kind} needs an id"));
        let id = id.filter(|id| !id.is_empty()).ok_or_else(missing)?;
        match id.chars().count() {
            ..=MAX_TEXT_CHARS => Ok(id),
            longer => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_id",
                format!("id: a name has at most {MAX_TEXT_CHARS} characters, this one has {longer}"),
            )),
        }
    };
    Ok(match kind {
        "fleet" => UptimeScope::Fleet,
        "kiosk" => UptimeScope::Kiosk(parse(id()?)?),
        "site" => UptimeScope::Site(parse(id()?)?),
        "region" => UptimeScope::Region(id()?.to_owned()),
        "customer" => UptimeScope::Customer(id()?.to_owned()),
        "engineer" => UptimeScope::Engineer(id()?.to_owned()),
        "model" => UptimeScope::Model(id()?.to_owned()),
        _ => {
            let detail = "scope is one of kiosk, site, region, customer, engineer, model, fleet";
            return Err(Problem::bad_request("bad_query", detail));
        }
    })
}

impl From<UptimeError> for Problem {
    fn from(error: UptimeError) -> Self {
        match error {
            UptimeError::NotFound(what) => Self::not_found(what),
            UptimeError::Store(error) => error.into(),
            UptimeError::Busy => Self::unavailable("busy", error.to_string()),
            error => Self::bad_request("bad_query", error.to_string()),
        }
    }
}

impl From<DecisionError> for Problem {
    fn from(error: DecisionError) -> Self {
        match error {
            DecisionError::Request(error) => error.into(),
            DecisionError::Uptime(error) => error.into(),
        }
    }
}
