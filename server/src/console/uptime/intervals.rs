//! The intervals behind a percentage, each with the evidence behind it.
use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{EvidenceRow, ExclusionRow},
    interval::Interval,
    uptime::{Explained, Proofs, State, Verdict, exclusion::NotAccountable, explain::Why},
};
use kioskwatch_proto::{Epoch, Timestamp};
use serde::Deserialize;

use super::{
    super::{texts::Texts, time, time::At},
    measure::{Measure, blamed_on, within},
};
use crate::app::UptimeExplained;

/// Intervals of one page. A kiosk that flaps every minute has tens of thousands in a month: the others are added up, and
/// a link leads on.
pub(super) const MAX_LISTED: usize = 200;

/// Which intervals a reader wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Show {
    #[default]
    Down,
    Up,
    LeftOut,
    /// What nobody answers for.
    Outside,
}

impl Show {
    pub(super) const ALL: [Self; 4] = [Self::Down, Self::Up, Self::LeftOut, Self::Outside];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::LeftOut => "left_out",
            Self::Outside => "outside",
        }
    }

    pub(super) const fn name(self, t: &Texts) -> &'static str {
        match self {
            Self::Down => t.counted_down,
            Self::Up => t.counted_up,
            Self::LeftOut => t.counted_left_out,
            Self::Outside => t.not_counted,
        }
    }

    const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Down => Some(Verdict::Down),
            Self::Up => Some(Verdict::Up),
            Self::LeftOut => Some(Verdict::LeftOut),
            Self::Outside => None,
        }
    }
}

/// A listed stretch of time, and everything that speaks for it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) span: Interval,
    pub(super) from: At,
    pub(super) to: At,
    pub(super) length: String,
    pub(super) seconds: i64,
    /// A class of the style sheet and its word.
    pub(super) state: &'static str,
    pub(super) word: &'static str,
    /// What it is blamed on, or why it is not counted.
    pub(super) because: &'static str,
    /// The rule that made it count so, in a sentence.
    pub(super) why: &'static str,
    pub(super) proofs: Vec<Proof>,
    /// What was known of it is removed.
    pub(super) is_forgotten: bool,
}

impl Row {
    /// Nothing that counts speaks for it, and nothing is removed that did.
    pub(super) fn is_unproven(&self) -> bool {
        !self.is_forgotten && self.proofs.iter().all(|proof| proof.too_late)
    }
}

/// One thing that speaks for an interval.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) kind: &'static str,
    pub(super) says: String,
    pub(super) span: Option<(At, At)>,
    /// The journal record that closed it.
    pub(super) record: Option<(Epoch, u64)>,
    /// When it arrived, where that was late.
    pub(super) arrived: Option<At>,
    /// It arrived when the figures were fixed, and counts for nothing in them.
    pub(super) too_late: bool,
}

/// The rows of a page, and what all of them add up to, listed or not.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) rows: Vec<Row>,
    pub(super) count: usize,
    pub(super) seconds: i64,
    /// The second from which on intervals are listed; `None`: from the first one on.
    after: Option<i64>,
    /// Intervals before those that are listed, and their seconds.
    pub(super) earlier: usize,
    pub(super) earlier_s: i64,
    /// Intervals that follow, and their seconds.
    pub(super) further: usize,
    pub(super) further_s: i64,
    /// Where the first that follows begins.
    pub(super) next: Option<i64>,
}

/// How times are told on the page.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) t: &'static Texts,
    pub(super) zone: Tz,
    pub(super) now: Timestamp,
}

impl Reader {
    fn at(&self, seconds: i64) -> At {
        At::new(self.zone, self.now, Timestamp(seconds.saturating_mul(1_000)))
    }

    fn row(&self, span: Interval) -> Row {
        Row {
            span,
            from: self.at(span.from),
            to: self.at(span.to),
            length: time::length(self.t, span.length()),
            seconds: span.length(),
            state: "UNKNOWN",
            word: "",
            because: "",
            why: "",
            proofs: Vec::new(),
            is_forgotten: false,
        }
    }
}

impl Listed {
    fn after(after: Option<i64>) -> Self {
        Self { after, ..Self::default() }
    }

    /// The pieces of `span` that counted as `show` says.
    pub(super) fn pieces(
        reader: Reader,
        measure: Measure,
        show: Show,
        explained: &UptimeExplained,
        (span, after): (Interval, Option<i64>),
    ) -> Self {
        let mut listed = Self::after(after);
        let wanted = |piece: &Explained| Some(measure.counted(piece).verdict) == show.verdict();
        for piece in within(&explained.intervals, span).filter(wanted) {
            listed.take(Interval::new(piece.from, piece.to), |span| {
                let state = piece.state.map_or("UNKNOWN", State::as_str);
                let counted = measure.counted(&piece);
                let down = counted.verdict == Verdict::Down;
                let is_forgotten = explained.is_forgotten(&piece);
                Row {
                    state,
                    word: reader.t.word(state),
                    because: if down { reader.t.word(blamed_on(&piece)) } else { "" },
                    why: if is_forgotten { reader.t.why_forgotten } else { told(reader.t, counted.why) },
                    is_forgotten,
                    ..reader.row(span)
                }
            });
        }
        listed
    }

    /// What nobody answers for, with the windows that were granted.
    pub(super) fn outside(
        reader: Reader,
        explained: &UptimeExplained,
        (span, after): (Interval, Option<i64>),
    ) -> Self {
        let mut listed = Self::after(after);
        for (part, reason) in &explained.outside {
            listed.take(part.intersect(span), |part| {
                let touches = |row: &&ExclusionRow| row.from.secs() < part.to && row.to.secs() > part.from;
                let windows = explained.exclusions.iter().filter(touches).map(|row| excused(reader, row));
                let proofs = if *reason == NotAccountable::Excluded { windows.collect() } else { Vec::new() };
                Row { because: reader.t.word(reason.as_str()), proofs, ..reader.row(part) }
            });
        }
        listed
    }

    fn take(&mut self, span: Interval, row: impl FnOnce(Interval) -> Row) {
        if span.is_empty() {
            return;
        }
        self.count += 1;
        self.seconds += span.length();
        if self.after.is_some_and(|after| span.from < after) {
            self.earlier += 1;
            self.earlier_s += span.length();
        } else if self.rows.len() < MAX_LISTED {
            self.rows.push(row(span));
        } else {
            self.further += 1;
            self.further_s += span.length();
            self.next.get_or_insert(span.from);
        }
    }

    /// From the first to the last listed second.
    pub(super) fn hull(&self) -> Option<Interval> {
        let (first, last) = (self.rows.first()?, self.rows.last()?);
        Some(Interval::new(first.span.from, last.span.to))
    }

    /// Puts evidence and outages to the rows they speak for.
    ///
    /// `clipped`: the reader sees nothing of what lies outside of the rows.
    pub(super) fn prove(
        &mut self,
        reader: Reader,
        evidence: &[EvidenceRow],
        explained: &UptimeExplained,
        clipped: bool,
    ) {
        let mut proofs = Proofs::new(evidence);
        for row in &mut self.rows {
            let records = proofs.of(row.span).iter().map(|one| Proof {
                too_late: !explained.knew(one),
                ..claimed(reader, one, clipped.then_some(row.span))
            });
            row.proofs.extend(records);
            row.proofs.extend(explained.outages.clip(row.span).iter().map(|part| deaf(reader, part)));
        }
    }
}

fn claimed(reader: Reader, row: &EvidenceRow, within: Option<Interval>) -> Proof {
    let t = reader.t;
    let at = |at: Timestamp| At::new(reader.zone, reader.now, at);
    let span = within.map_or((at(row.from), at(row.to)), |within| {
        let seen = Interval::new(row.from.secs(), row.to.secs()).intersect(within);
        (reader.at(seen.from), reader.at(seen.to))
    });
    let cause = row.cause.as_deref().map_or(String::new(), |cause| format!(" · {}", t.word(cause)));
    let record = row.epoch.zip(row.seq);
    Proof {
        kind: if record.is_some() { t.evidence_journal } else { t.evidence_live },
        says: format!("{}{cause}", t.word(row.state.as_str())),
        span: Some(span),
        record,
        arrived: row.received_at.map(at),
        too_late: false,
    }
}

fn deaf(reader: Reader, span: Interval) -> Proof {
    Proof {
        kind: reader.t.evidence_outage,
        says: String::new(),
        span: Some((reader.at(span.from), reader.at(span.to))),
        record: None,
        arrived: None,
        too_late: false,
    }
}

fn excused(reader: Reader, row: &ExclusionRow) -> Proof {
    let t = reader.t;
    let at = |at: Timestamp| At::new(reader.zone, reader.now, at);
    let by = row.approved_by.as_deref().unwrap_or_default();
    let since = row.withdrawn.as_ref();
    let withdrawn = since.map_or_else(String::new, |one| format!(" · {}: {}", t.withdrawn, one.by));
    Proof {
        kind: t.evidence_exclusion,
        says: format!(
            "{} · {} · {} {} · {} {by}{withdrawn}",
            t.word(&row.class),
            row.reason,
            t.asked_by,
            row.requested_by,
            t.approved_by
        ),
        span: Some((at(row.from), at(row.to))),
        record: None,
        arrived: None,
        too_late: false,
    }
}

const fn told(t: &Texts, why: Why) -> &'static str {
    match why {
        Why::Evidence => t.why_evidence,
        Why::Silence => t.why_silence,
        Why::SilenceWhileServerDown => t.why_silence_deaf,
        Why::ServiceUnknown => t.why_service_unknown,
        Why::ServiceUnknownWhileServerDown => t.why_service_unknown_deaf,
        Why::Heartbeats => t.why_heartbeats,
        Why::NoHeartbeats => t.why_no_heartbeats,
        Why::ServerDown => t.why_server_down,
    }
}
