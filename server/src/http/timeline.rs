//! `/kiosks/{id}/timeline`: what is known of a span of time, whoever was to answer for it.
use axum::{Json, extract::State};
use kioskwatch_domain::{
    change::{EvidenceRow, TransitionRow},
    interval::{Interval, IntervalSet},
    uptime::{self, Cause, Evidence, Inputs, Proofs, Source, Timeline, sweep::Piece},
};
use kioskwatch_proto::{Epoch, KioskId, PeripheralName, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Caller, Id, Params, PeriodQuery, Problem, Web,
    caller::{May, See},
    kiosk_in_scope,
    openapi::Failures,
};
use crate::{
    app::UptimeError,
    store::{PageRequest, Scope, StoreError},
};

/// Transitions of one answer; more are cut off, oldest first.
const MAX_TRANSITIONS: usize = 2_000;
/// Intervals of one answer and what proves them, counted together. A kiosk that flaps every minute has tens of
/// thousands in a month.
const MAX_LISTED: usize = 5_000;

/// A kiosk's past.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineView {
    #[schema(value_type = String)]
    kiosk: KioskId,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Of before this nothing may be kept any more; what is removed shows as `UNKNOWN`.
    #[schema(value_type = String, format = DateTime)]
    kept_from: Timestamp,
    /// Without gaps and overlaps, in order.
    intervals: Vec<IntervalView>,
    /// There are more intervals than one answer lists: ask again with this as `from` for those that follow. Only then.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    further_from: Option<Timestamp>,
    /// What changed in the time of these intervals, newest first.
    transitions: Vec<TransitionView>,
}

/// A stretch of one state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IntervalView {
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// `FULL`, `DEGRADED`, `ON_ONLY`, `OOS`, `OFF`, or `UNKNOWN` where nobody said anything.
    state: &'static str,
    cause: Option<&'static str>,
    /// `journal` or `live`: whose word it is.
    source: Option<&'static str>,
    /// The server could not receive in this time, or not store what this kiosk said; until the next heartbeat was due
    /// after it. `UNKNOWN` in it counts in no figure, any other as down.
    server_down: bool,
    evidence: Vec<EvidenceView>,
}

/// What a record or a row of heartbeats proves.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct EvidenceView {
    source: &'static str,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    state: &'static str,
    cause: Option<String>,
    /// The journal record that closed it.
    #[schema(value_type = Option<String>, format = "uuid")]
    epoch: Option<Epoch>,
    seq: Option<u64>,
    /// When it arrived, where that was late.
    #[schema(value_type = Option<String>, format = DateTime)]
    received_at: Option<Timestamp>,
}

/// A change of presence, service or a peripheral.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransitionView {
    kind: String,
    #[schema(value_type = Option<String>)]
    peripheral: Option<PeripheralName>,
    from: String,
    to: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    noticed_at: Timestamp,
    reason: String,
}

/// The states of a kiosk in a span of time.
#[derive(Debug)]
pub(crate) struct Past {
    /// Evidence of before this may be gone.
    kept_from: Timestamp,
    /// What proves it.
    rows: Vec<EvidenceRow>,
    pub(crate) spans: Vec<Span>,
}

/// A stretch of one state.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// `UNKNOWN` or a word of the evidence.
    pub(crate) state: &'static str,
    pub(crate) cause: Option<&'static str>,
    source: Option<&'static str>,
    server_down: bool,
}

/// Intervals with state, cause and the evidence behind each.
///
/// At most so many that they and their evidence are 5,000; what follows is asked for with `from` = `further_from`.
#[utoipa::path(get, path = "/api/v1/kiosks/{id}/timeline", tag = "fleet", operation_id = "get_timeline",
    params(("id" = String, Path), PeriodQuery), responses((status = 200, body = TimelineView), Failures))]
pub(super) async fn get(
    State(web): State<Web>,
    May(caller, _): May<See>,
    Id(id): Id<KioskId>,
    Params(query): Params<PeriodQuery>,
) -> Result<Json<TimelineView>, Problem> {
    let (from, to) = query.period(web.app().clock().now())?;
    kiosk_in_scope(&web, &caller, &id).await?;
    let past = timeline_of(&web, &caller, &id, from, to).await?;
    let (intervals, further_from) = listed(&past, MAX_LISTED);
    let transitions = transitions(&web, &caller, &id, from, further_from.unwrap_or(to)).await?;
    Ok(Json(TimelineView {
        kiosk: id,
        from,
        to,
        kept_from: past.kept_from,
        intervals,
        further_from,
        transitions: transitions.into_iter().map(TransitionView::from).collect(),
    }))
}

/// What changed in `from..to`, newest first.
pub(crate) async fn transitions(
    web: &Web,
    caller: &Caller,
    id: &KioskId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<TransitionRow>, StoreError> {
    let mut rows = Vec::new();
    let mut page = PageRequest::first();
    loop {
        let found = web.app().store().transitions(caller.scope(), id, from, to, &page).await?;
        let Some(found) = found else { return Ok(rows) };
        rows.extend(found.items);
        match found.next_cursor {
            Some(cursor) if rows.len() < MAX_TRANSITIONS => page = page.after(cursor),
            _ => return Ok(rows),
        }
    }
}

/// What proves anything about `from..to`: stored rows, and what heartbeats have said since they were written.
pub(crate) async fn evidence_of(
    web: &Web,
    scope: &Scope,
    id: &KioskId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<EvidenceRow>, StoreError> {
    let app = web.app();
    // First what is not written: what is written meanwhile is then seen twice instead of not at all.
    let mut rows = app.fleet().live_evidence(id, app.clock().now());
    rows.extend(app.store().evidence(scope, std::slice::from_ref(id), from, to).await?);
    Ok(rows)
}

/// The states of `from..to`, up to now; silence is `UNKNOWN`, not blamed on anybody. What of it is none of the kiosk's is
/// what its figures leave out.
pub(crate) async fn timeline_of(
    web: &Web,
    caller: &Caller,
    id: &KioskId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Past, UptimeError> {
    let app = web.app();
    let unheard = app.unheard(id, from, to).await?;
    let to = to.min(app.clock().now());
    let rows = evidence_of(web, caller.scope(), id, from, to).await?;
    let period = Interval::new(from.secs(), to.secs());
    let evidence: Vec<Evidence> = rows.iter().map(Evidence::from).collect();
    let always = IntervalSet::always();
    let inputs = Inputs {
        period,
        as_of: None,
        service: &always,
        commissioned: &always,
        exclusions: &IntervalSet::empty(),
        server_down: &unheard.outages,
        evidence: &evidence,
        received_before: None,
    };
    let timeline = Timeline::build(&inputs);
    let spans = timeline.pieces().iter().map(Span::of).collect();
    Ok(Past { kept_from: unheard.kept_from, rows, spans })
}

/// As many intervals as one answer takes, each with what proves it, and where the next one begins if there is one.
fn listed(past: &Past, limit: usize) -> (Vec<IntervalView>, Option<Timestamp>) {
    let mut proofs = Proofs::new(&past.rows);
    let (mut intervals, mut count) = (Vec::new(), 0);
    for span in &past.spans {
        let evidence = proofs.of(Interval::new(span.from.secs(), span.to.secs()));
        count += 1 + evidence.len();
        if count > limit && !intervals.is_empty() {
            return (intervals, Some(span.from));
        }
        let &Span { from, to, state, cause, source, server_down } = span;
        let evidence = evidence.iter().map(|row| EvidenceView::from(*row)).collect();
        intervals.push(IntervalView { from, to, state, cause, source, server_down, evidence });
    }
    (intervals, None)
}

impl Span {
    fn of(piece: &Piece) -> Self {
        let (from, to) = (Timestamp(piece.span.from * 1_000), Timestamp(piece.span.to * 1_000));
        let (state, source) = piece.basis.state.unzip();
        Self {
            from,
            to,
            state: state.map_or("UNKNOWN", uptime::State::as_str),
            cause: piece.basis.cause.map(Cause::as_str),
            source: source.map(Source::as_str),
            server_down: piece.basis.server_down,
        }
    }
}

impl From<&EvidenceRow> for EvidenceView {
    fn from(row: &EvidenceRow) -> Self {
        Self {
            source: row.source.as_str(),
            from: row.from,
            to: row.to,
            state: row.state.as_str(),
            cause: row.cause.clone(),
            epoch: row.epoch,
            seq: row.seq,
            received_at: row.received_at,
        }
    }
}

impl From<TransitionRow> for TransitionView {
    fn from(row: TransitionRow) -> Self {
        Self {
            kind: row.kind,
            peripheral: row.peripheral,
            from: row.from,
            to: row.to,
            at: row.at,
            noticed_at: row.noticed_at,
            reason: row.reason,
        }
    }
}
