//! One journal record, as the kiosk wrote it: the last step of "why".
use askama::Template;
use axum::{
    extract::{Path, State},
    response::Html,
};
use chrono_tz::Tz;
use kioskwatch_proto::{Epoch, KioskId};

use super::super::{
    shell::{Shell, render, zone},
    texts::Texts,
    time::At,
};
use crate::http::{May, Problem, See, Web, kiosk_in_scope, parse};

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage {
    shell: Shell,
    t: &'static Texts,
    id: KioskId,
    zone: Tz,
    epoch: Epoch,
    seq: u64,
    kind: String,
    outcome: &'static str,
    reason: Option<String>,
    said_at: At,
    placed_at: At,
    received_at: At,
    digest: String,
    raw: String,
}

pub(in crate::console) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Path((id, epoch, seq)): Path<(String, String, String)>,
) -> Result<Html<String>, Problem> {
    let (id, epoch, seq): (KioskId, Epoch, u64) = (parse(&id)?, parse(&epoch)?, parse(&seq)?);
    let app = web.app();
    let view = kiosk_in_scope(&web, &caller, &id).await?;
    let record = app.store().journal_record(caller.scope(), &id, epoch, seq).await?;
    let Some(record) = record else {
        let removed = app.store().journal_removed_at(&[(id, epoch, seq)]).await?;
        let missing = if removed.is_empty() { Problem::not_found } else { Problem::removed };
        return Err(missing("record"));
    };
    let site = match &view.kiosk.site {
        Some(site) => app.store().site(caller.scope(), site).await?,
        None => None,
    };
    let zone = zone(&web, site.as_ref().map(|site| site.timezone.as_str()));
    let now = app.clock().now();
    let at = |at| At::new(zone, now, at);
    render(&RecordPage {
        t: shell.t,
        zone,
        epoch,
        seq,
        outcome: record.outcome.as_str(),
        said_at: at(record.at),
        placed_at: at(record.placed_at),
        received_at: at(record.received_at),
        digest: record.digest.to_string(),
        raw: record.raw.to_string(),
        reason: record.reason,
        kind: record.kind,
        id,
        shell,
    })
}
