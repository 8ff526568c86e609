//! `/uptime`: figures as integers, ratios only as text beside them.
use std::collections::BTreeMap;

use axum::{Json, extract::State};
use kioskwatch_domain::uptime::Ratio;
use kioskwatch_proto::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Params, Problem, Web,
    caller::{May, See},
    input::{MAX_PERIOD_MS, parse, time},
    openapi::Failures,
};
use crate::app::{UptimeError, UptimePeriod, UptimeQuery, UptimeScope};

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
    /// What was known of a running period at this instant; default now.
    as_of: Option<String>,
}

/// The figures of a scope and period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UptimeView {
    /// Seconds we answer for.
    accountable_s: i64,
    /// 开机率.
    on: RatioView,
    /// 可用率.
    avail: RatioView,
    /// 全功能率.
    full: RatioView,
    /// 在线率, a diagnosis of the line.
    online: RatioView,
    /// Share of the accountable time that is known: six decimals, or null.
    coverage: Option<String>,
    /// Seconds down in `avail`, by cause.
    causes: BTreeMap<&'static str, i64>,
    /// 1: as first computed.
    version: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    frozen_at: Option<Timestamp>,
    kiosks: usize,
    /// What could not be read and how it was counted instead.
    problems: Vec<String>,
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
    let figures = answer.figures;
    Ok(Json(UptimeView {
        accountable_s: figures.accountable_s,
        on: figures.on.into(),
        avail: figures.avail.into(),
        full: figures.full.into(),
        online: figures.online.into(),
        coverage: figures.coverage().text(),
        causes: figures.causes.iter().map(|(cause, seconds)| (cause.as_str(), *seconds)).collect(),
        version: 1,
        frozen_at: answer.frozen_at.map(|s| Timestamp(s.saturating_mul(1_000))),
        kiosks: answer.kiosks,
        problems: answer.problems,
    }))
}

impl UptimeParams {
    fn query(&self, web: &Web) -> Result<UptimeQuery, Problem> {
        let as_of = self.as_of.as_deref().map(|text| time("as_of", text)).transpose()?;
        Ok(UptimeQuery { scope: self.scope()?, period: self.period(web)?, as_of })
    }

    fn scope(&self) -> Result<UptimeScope, Problem> {
        let word = self.scope.as_deref().unwrap_or("fleet");
        let id = || {
            let missing = || Problem::bad_request("bad_query", format!("scope={word} needs an id"));
            self.id.as_deref().filter(|id| !id.is_empty()).ok_or_else(missing)
        };
        Ok(match word {
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

    fn period(&self, web: &Web) -> Result<UptimePeriod, Problem> {
        let now = web.app().clock().now();
        match (&self.month, &self.from, &self.to) {
            (None, None, None) => {
                let (year, month) = web.app().month_of(now);
                Ok(UptimePeriod::Month { year, month })
            }
            (Some(text), None, None) => {
                let parts = text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2);
                let parts = parts.and_then(|(year, month)| Some((year.parse().ok()?, month.parse().ok()?)));
                let (year, month) = parts
                    .ok_or_else(|| Problem::bad_request("bad_query", "month is written like 2026-10"))?;
                Ok(UptimePeriod::Month { year, month })
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

impl From<UptimeError> for Problem {
    fn from(error: UptimeError) -> Self {
        match error {
            UptimeError::NotFound(what) => Self::not_found(what),
            UptimeError::Store(error) => error.into(),
            error => Self::bad_request("bad_query", error.to_string()),
        }
    }
}
