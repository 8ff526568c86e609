//! `kioskwatch-server explain uptime`: every second of a kiosk's month, what it counted as, and what proves it.
use std::{fmt::Write as _, path::Path};

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{EvidenceRow, ExclusionRow, MonthRow, MonthSums},
    interval::Interval,
    uptime::{
        Explained, Figures, Margin, Month, Proofs, Ratio, Reliability, Verdict, books::total,
        exclusion::NotAccountable,
    },
};
use kioskwatch_proto::{KioskId, Timestamp};

use crate::{
    app::{NotLive, UptimeExplained, UptimePeriod, UptimeQuery, UptimeReader, UptimeScope},
    cli::{Problem, block_on, load, open_to_read, print},
    explain::local,
    run,
    store::Scope,
};

pub(crate) fn uptime(config: Option<&Path>, kiosk: &str, month: &str) -> Result<(), Problem> {
    let kiosk = KioskId::new(kiosk).map_err(|e| Problem::Usage(format!("--kiosk: {e}")))?;
    let named: Month = month
        .parse()
        .map_err(|_| Problem::Usage(format!("--month {month}: expected a month like 2026-10")))?;
    let period = UptimePeriod::Month { year: named.year(), month: named.month() };
    let config = load(config)?;
    let calendar = run::calendar(&config).map_err(|e| Problem::Usage(e.to_string()))?;
    block_on(async {
        let store = open_to_read(&config).await?;
        let now = crate::clock::Clock::start().now();
        let reader =
            UptimeReader { store: &store, config: &config, calendar: &calendar, now, live: &NotLive };
        let told = reader.explain(&Scope::All, &kiosk, period, None).await.map_err(Problem::failed)?;
        let mut text = String::new();
        let figures = &told.figures;
        let _ = writeln!(
            text,
            "{kiosk}  {} to {}  ({})",
            local(told.zone, told.period.from),
            local(told.zone, told.period.to),
            told.zone
        );
        let low = if figures.has_insufficient_data() { " (insufficient data)" } else { "" };
        let _ = writeln!(text, "accountable {} s, known {} s{low}", figures.accountable_s, figures.known_s);
        for (name, ratio) in
            [("on", figures.on), ("avail", figures.avail), ("full", figures.full), ("online", figures.online)]
        {
            let _ = writeln!(text, "{name:<7} {:>12} / {:<12} {}", ratio.num, ratio.den, ratio.display());
        }
        if told.period.from < told.kept_from {
            let day = local(told.zone, told.kept_from);
            let _ = writeln!(
                text,
                "evidence of before {day} may be removed: that time is unknown, not down; signed versions stay"
            );
        }
        beside(&mut text, &told.sums, told.target, told.zone);
        let query = UptimeQuery::of(UptimeScope::Kiosk(kiosk.clone()), period);
        let official = reader.figures(&Scope::All, &query).await.map_err(Problem::failed)?;
        for problem in &official.problems {
            let _ = writeln!(text, "note: {problem}");
        }
        let rows = store.versions_of_month(&Scope::All, &kiosk, named).await.map_err(Problem::failed)?;
        versions(&mut text, &rows, told.zone);
        let promised = |figures: &Figures| [figures.on, figures.avail, figures.full];
        if official.version > 0 && promised(&official.sums.figures) != promised(figures) {
            let version = official.version;
            let _ = writeln!(text, "the intervals below come to another sum than version {version}");
        }
        let at = |seconds: i64| Timestamp(seconds.saturating_mul(1_000));
        let (from, to) = (at(told.period.from), at(told.period.to));
        let ids = std::slice::from_ref(&kiosk);
        let evidence = store.evidence(&Scope::All, ids, from, to).await.map_err(Problem::failed)?;
        list(&mut text, &told, &evidence);
        store.close().await;
        print(&text)
    })
}

/// What stands beside the ratios: causes, outages, and where availability is against its target.
fn beside(text: &mut String, sums: &MonthSums, target: (i64, i64), zone: Tz) {
    let avail = sums.figures.avail;
    let _ = writeln!(
        text,
        "excluded {} s; avail without any exclusion {}",
        sums.excluded_s,
        sums.raw_avail.display()
    );
    for (cause, seconds) in &sums.figures.causes {
        let times = sums.outages_by(*cause);
        let times = times.map_or_else(String::new, |times| format!(", {times} times unavailable"));
        let _ = writeln!(text, "down by {:<12} {seconds} s{times}", cause.as_str());
    }
    if sums.not_told_by_cause() > 0 {
        let _ = writeln!(text, "not told by cause: {} times unavailable", sums.not_told_by_cause());
    }
    let _ = write!(text, "times unavailable {}", sums.outages);
    if let Some(one) = Reliability::of(avail, sums.outages) {
        let at = sums.longest_outage_at.map_or_else(String::new, |at| local(zone, at.secs()));
        let _ = write!(text, ", longest {} s from {at}", sums.longest_outage_s);
        let _ = write!(text, ", MTBF {} s, MTTR {} s", one.mtbf_s, one.mttr_s);
    }
    let _ = writeln!(text);
    promise(text, "on", sums.figures.on, target);
    promise(text, "avail", avail, target);
}

fn promise(text: &mut String, name: &str, ratio: Ratio, target: (i64, i64)) {
    let Some(margin) = Margin::of(ratio, target) else { return };
    let word = |met| if met { "met" } else { "missed" };
    let _ = writeln!(
        text,
        "{name} target {}/{} {}: {} s may be down, {} s left; one more hour down: {}, {}",
        target.0,
        target.1,
        word(margin.met),
        margin.allowed_down_s,
        margin.left_s,
        margin.after_one_hour.display(),
        word(margin.met_after_one_hour),
    );
}

/// All of the month that has been, in order: what counted with what proves it, and what lies outside with the reason.
fn list(text: &mut String, told: &UptimeExplained, evidence: &[EvidenceRow]) {
    let _ = writeln!(
        text,
        "\nfrom                 to                   seconds state    source  cause        on     avail  full   why"
    );
    let mut proofs = Proofs::new(evidence);
    let mut outside = told.outside.iter().peekable();
    for piece in &told.intervals {
        while let Some((part, reason)) = outside.next_if(|(part, _)| part.from < piece.from) {
            not_counted(text, told, *part, *reason);
        }
        counted(text, told, piece);
        let span = Interval::new(piece.from, piece.to);
        let _ = writeln!(text, "    {}", proven(told, span, proofs.of(span)));
    }
    for (part, reason) in outside {
        not_counted(text, told, *part, *reason);
    }
}

fn counted(text: &mut String, told: &UptimeExplained, piece: &Explained) {
    let _ = writeln!(
        text,
        "{:<20} {:<20} {:>7} {:<8} {:<7} {:<12} {:<6} {:<6} {:<6} {}",
        local(told.zone, piece.from),
        local(told.zone, piece.to),
        piece.to - piece.from,
        piece.state.map_or("-", |state| state.as_str()),
        piece.source.map_or("-", |source| source.as_str()),
        piece.cause.map_or("-", |cause| cause.as_str()),
        word(piece.on.verdict),
        word(piece.avail.verdict),
        word(piece.full.verdict),
        if told.is_forgotten(piece) { "evidence_removed" } else { piece.avail.why.as_str() },
    );
}

fn not_counted(text: &mut String, told: &UptimeExplained, part: Interval, reason: NotAccountable) {
    let (from, to) = (local(told.zone, part.from), local(told.zone, part.to));
    let _ = writeln!(text, "{from:<20} {to:<20} {:>7} not counted: {}", part.length(), reason.as_str());
    if reason != NotAccountable::Excluded {
        return;
    }
    let touches = |row: &&ExclusionRow| row.from.secs() < part.to && row.to.secs() > part.from;
    for row in told.exclusions.iter().filter(touches) {
        let by = row.approved_by.as_deref().unwrap_or("-");
        let (class, reason, asked) = (&row.class, &row.reason, &row.requested_by);
        let _ = write!(text, "    exclusion {}: {class}, {reason}; asked {asked}, approved {by}", row.id);
        let since = row.withdrawn.as_ref();
        let _ =
            writeln!(text, "{}", since.map_or_else(String::new, |one| format!(", taken back {}", one.by)));
    }
}

/// What speaks for an interval, and what would have, had it arrived before the figures were fixed.
fn proven(told: &UptimeExplained, span: Interval, rows: &[&EvidenceRow]) -> String {
    let (known, late): (Vec<&EvidenceRow>, Vec<&EvidenceRow>) =
        rows.iter().copied().partition(|row| told.knew(row));
    let deaf = told.outages.clip(span);
    let known = match (first_of(told.zone, &known), deaf.intervals().first()) {
        (Some(says), _) => says,
        (None, Some(outage)) => {
            let (from, to) = (local(told.zone, outage.from), local(told.zone, outage.to));
            format!("the server could not hear it from {from} to {to}")
        }
        (None, None) => "nobody said anything".to_owned(),
    };
    let late = first_of(told.zone, &late).map(|says| format!("; too late to count: {says}"));
    known + &late.unwrap_or_default()
}

/// The first of these that is believed, and how many more there are.
fn first_of(zone: Tz, rows: &[&EvidenceRow]) -> Option<String> {
    // A journal is believed before heartbeats are.
    let row = rows.iter().min_by_key(|row| row.seq.is_none())?;
    let more = if rows.len() > 1 { format!(", and {} more", rows.len() - 1) } else { String::new() };
    let (from, to) = (local(zone, row.from.secs()), local(zone, row.to.secs()));
    let state = row.state.as_str();
    Some(match (row.epoch, row.seq) {
        (Some(epoch), Some(seq)) => format!("journal record {seq} of {epoch}: {state} {from} to {to}{more}"),
        _ => format!("heartbeats: {state} {from} to {to}{more}"),
    })
}

/// Every version of the month in the books, oldest first; what is known now comes before them.
fn versions(text: &mut String, rows: &[MonthRow], zone: Tz) {
    let newest = rows.iter().map(|row| row.version).max().unwrap_or(0);
    for version in 0..=newest {
        let of: Vec<&MonthRow> = rows.iter().filter(|row| row.version == version).collect();
        let Some(first) = of.first() else { continue };
        let avail = total(&of).figures.avail;
        let name = if version == 0 { "known now".to_owned() } else { format!("version {version}") };
        let _ = writeln!(
            text,
            "{name:<10} booked {}  avail {} / {} {}  inputs {}",
            local(zone, first.booked_at.secs()),
            avail.num,
            avail.den,
            avail.display(),
            &first.fingerprint[..first.fingerprint.len().min(16)],
        );
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Up => "up",
        Verdict::Down => "down",
        Verdict::LeftOut => "out",
    }
}

#[cfg(test)]
mod tests {
    use kioskwatch_domain::{
        change::{EvidenceSource, EvidenceState},
        interval::IntervalSet,
        uptime::{Cause, Counted, Figures, State, Why},
    };
    use kioskwatch_proto::Epoch;
    use uuid::Uuid;

    use super::*;

    fn evidence(from: i64, to: i64, seq: Option<u64>) -> EvidenceRow {
        EvidenceRow {
            kiosk: "K-1".parse().unwrap(),
            source: if seq.is_some() { EvidenceSource::Journal } else { EvidenceSource::Live },
            from: Timestamp(from * 1_000),
            to: Timestamp(to * 1_000),
            state: EvidenceState::Full,
            cause: None,
            received_at: None,
            epoch: seq.map(|_| Epoch(Uuid::nil())),
            seq,
            interval_s: None,
        }
    }

    #[test]
    fn every_second_is_listed_with_what_proves_it_or_why_it_does_not_count() {
        let counted = Counted { verdict: Verdict::Up, why: Why::Evidence };
        let piece = |from, to| Explained {
            from,
            to,
            state: Some(State::Full),
            source: None,
            cause: None,
            on: counted,
            avail: counted,
            full: counted,
            online: counted,
        };
        let window = ExclusionRow {
            id: Uuid::nil(),
            kiosk: Some("K-1".parse().unwrap()),
            site: None,
            class: "planned".into(),
            from: Timestamp(200_000),
            to: Timestamp(300_000),
            requested_by: "li".into(),
            approved_by: Some("zhao".into()),
            approved_at: Some(Timestamp(0)),
            agreed_at: None,
            withdrawn: None,
            reason: "new cabinet".into(),
        };
        let told = UptimeExplained {
            zone: Tz::UTC,
            period: Interval::new(0, 800),
            known_before: Some(9_000),
            site: None,
            commissioned_at: None,
            figures: Figures::default(),
            sums: MonthSums::default(),
            target: (1, 1),
            intervals: vec![
                piece(100, 200),
                piece(300, 400),
                piece(400, 500),
                piece(500, 600),
                piece(700, 800),
            ],
            outside: vec![
                (Interval::new(0, 100), NotAccountable::NotCommissioned),
                (Interval::new(200, 300), NotAccountable::Excluded),
                (Interval::new(600, 700), NotAccountable::OutsideServiceHours),
            ],
            exclusions: vec![window],
            outages: IntervalSet::of(Interval::new(420, 480)),
            kept_from: 0,
        };
        // Out of order: the journal's rows are stored behind those of heartbeats.
        let after_the_freeze = |row| EvidenceRow { received_at: Some(Timestamp(9_000_000)), ..row };
        let rows = [
            evidence(310, 390, None),
            evidence(90, 320, Some(7)),
            evidence(100, 150, None),
            evidence(690, 810, None),
            after_the_freeze(evidence(300, 310, Some(8))),
            after_the_freeze(evidence(500, 600, Some(9))),
        ];
        let mut text = String::new();
        list(&mut text, &told, &rows);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let expected = [
            "not counted: not_commissioned",
            "100 FULL",
            "journal record 7 of 00000000-0000-0000-0000-000000000000: FULL 1970-01-01 00:01:30 to 1970-01-01 \
             00:05:20, and 1 more",
            "not counted: excluded",
            "planned, new cabinet; asked li, approved zhao",
            "100 FULL",
            ", and 1 more; too late to count: journal record 8",
            "100 FULL",
            "the server could not hear it from 1970-01-01 00:07:00 to 1970-01-01 00:08:00",
            "100 FULL",
            "nobody said anything; too late to count: journal record 9",
            "not counted: outside_service_hours",
            "100 FULL",
            "heartbeats: FULL 1970-01-01 00:11:30 to 1970-01-01 00:13:30",
        ];
        assert_eq!(lines.len(), expected.len(), "{text}");
        for (line, part) in lines.iter().zip(expected) {
            assert!(line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn a_cause_is_told_with_its_seconds_and_how_often_it_began_with_it() {
        let mut text = String::new();
        let causes = [(Cause::Power, 3_600), (Cause::Hardware, 60)].into();
        let figures = Figures { avail: Ratio::new(0, 3_660), causes, ..Figures::default() };
        let sums = |outages| MonthSums {
            figures: figures.clone(),
            outages,
            outages_by_cause: [(Cause::Power, 2)].into(),
            ..MonthSums::default()
        };
        beside(&mut text, &sums(2), (9, 10), Tz::UTC);
        beside(&mut text, &sums(5), (9, 10), Tz::UTC);
        for (line, count) in [
            ("down by power        3600 s, 2 times unavailable", 2),
            ("down by hardware     60 s, 0 times unavailable", 1),
            // Of three nobody knows by what they began.
            ("down by hardware     60 s", 1),
            ("not told by cause: 3 times unavailable", 1),
        ] {
            assert_eq!(text.lines().filter(|one| *one == line).count(), count, "{line}: {text}");
        }
    }

    #[test]
    fn both_promises_are_judged() {
        let mut text = String::new();
        let figures = Figures { on: Ratio::new(9, 10), avail: Ratio::new(8, 10), ..Figures::default() };
        beside(&mut text, &MonthSums { figures, ..MonthSums::default() }, (9, 10), Tz::UTC);
        assert!(text.contains("on target 9/10 met") && text.contains("avail target 9/10 missed"), "{text}");
    }
}
