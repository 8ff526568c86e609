//! Evidence that comes late: what was remembered of a month must be gone, and the fleet's figures must differ by
//! exactly what was committed.
use std::time::Duration;

use kioskwatch_domain::{
    change::{Change, EvidenceState, JournalHeadRow},
    interval::Interval,
    uptime::Month,
};
use kioskwatch_proto::{Epoch, KioskId, Timestamp, topic::Channel};
use kioskwatch_server::{
    app::{UptimeAnswer, UptimeQuery, UptimeScope},
    clock::{Clock, Stopwatch},
    store::Scope,
};
use uuid::Uuid;

use super::{
    Bench, Result,
    fleet::{ZONE, kiosk, owners, secs},
    ms, period_of,
    server::{Server, heard},
    until,
};

/// Its place among the others: at the first site.
const PLACE: u64 = 0;
/// No month of the made-up year is signed meanwhile.
const FREEZE_HOURS: u64 = 45 * 24;

/// A kiosk that comes to the others, and tells late what it was doing.
struct Latecomer {
    id: KioskId,
    name: Uuid,
    said: u64,
}

impl Bench {
    /// Its books are kept by a server that knows no other kiosk: nothing else changes the figures of the fleet.
    pub(crate) async fn late(&self, running: Month) -> Result<()> {
        let now = Clock::start().now();
        let mut one = Latecomer {
            id: KioskId::new(&format!("L-{now}").replace([':', '.'], "-"))?,
            name: Uuid::from_u128(now.ms().unsigned_abs().into()),
            said: 0,
        };
        let last = running.previous();
        self.add(&one, last, now).await?;
        let mut image = self.store.load_image(now).await?;
        image.kiosks.retain(|kiosk| kiosk.id == one.id);
        image.assignments.retain(|row| row.kiosk == one.id);
        (image.tickets, image.open_incidents, image.clocks) = Default::default();
        let mut config = self.config.clone();
        config.uptime.freeze_hours = FREEZE_HOURS;
        let server = self.serve(config, image).await?;
        for (month, what) in [(last, "last month, which is not signed"), (running, "the running month")] {
            self.late_in(&server, &mut one, (month, what), now).await?;
        }
        server.stop().await
    }

    async fn add(&self, one: &Latecomer, since: Month, now: Timestamp) -> Result<()> {
        let mut row = kiosk(PLACE);
        row.id = one.id.clone();
        row.commissioned_at = Some(secs(since.period(ZONE).from));
        let owners = owners(PLACE).map(|change| match change {
            Change::Assignment(mut row) => {
                row.kiosk = one.id.clone();
                Change::Assignment(row)
            }
            other => other,
        });
        let mut state = heard(std::slice::from_ref(&row), now).remove(0);
        state.epoch = Some(Epoch(one.name));
        let head = JournalHeadRow {
            kiosk: one.id.clone(),
            epoch: Epoch(one.name),
            upto: 0,
            digest: None,
            first_seen_at: now,
            cursor: "{}".to_owned(),
        };
        self.store.commit(&[Change::Kiosk(row)]).await?;
        self.store.commit(&owners).await?;
        self.store.commit(&[Change::KioskState(Box::new(state)), Change::JournalHead(head)]).await?;
        Ok(())
    }

    async fn late_in(
        &self,
        server: &Server,
        one: &mut Latecomer,
        (month, what): (Month, &str),
        now: Timestamp,
    ) -> Result<()> {
        let period = month.period(ZONE);
        let passed = Interval::new(period.from, period.to.min(now.secs()));
        let step = (passed.length() / 8).clamp(1, 3_600);
        let at = |steps: i64| secs(passed.from + steps * step);
        server.tell(one, &one.begins(at(1))).await?;
        until("its books are kept", || server.app.books_shown() == 1).await?;
        let before = self.settled(server, month).await?;
        let known = self.evidence(&one.id, passed).await?;

        let watch = Stopwatch::start();
        server.tell(one, &[one.service(1, false, at(2)), one.service(2, true, at(3))]).await?;
        let (mut after, mut took) = asked(server, month).await?;
        while after.sums.figures.known_s == before.sums.figures.known_s {
            tokio::time::sleep(Duration::from_millis(1)).await;
            (after, took) = asked(server, month).await?;
        }
        let right_after = watch.elapsed();
        let told = self.evidence(&one.id, passed).await?;
        let committed = (told.0 - known.0, told.1 - known.1);
        // Of a time of which nothing was known nothing was up: it counted, and was not known.
        let figures = [&before, &after].map(|answer| &answer.sums.figures);
        let moved = (figures[1].known_s - figures[0].known_s, figures[1].avail.num - figures[0].avail.num);
        assert_eq!(moved, committed, "{what}: seconds known, and of these in service");
        assert_eq!(committed.0 - committed.1, step, "{what}: it was out of service for a step");
        self.line(
            &format!("late evidence in {what}: fleet of {} asked again", after.kiosks),
            "< 1 s",
            &ms(took),
        );
        self.line(&format!("  right, to the {} s committed, after", committed.0), "", &ms(right_after));
        let (_, took) = asked(server, month).await?;
        self.line("  asked once more", "< 100 ms", &ms(took));
        Ok(())
    }

    /// The fleet's figures once what was told is in them: twice the same, the second time from memory.
    async fn settled(&self, server: &Server, month: Month) -> Result<UptimeAnswer> {
        let watch = Stopwatch::start();
        let mut before = asked(server, month).await?.0;
        while watch.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            before = asked(server, month).await?.0;
        }
        Ok(before)
    }

    /// Seconds of a kiosk's evidence, and of these in service.
    async fn evidence(&self, kiosk: &KioskId, within: Interval) -> Result<(i64, i64)> {
        let (from, to) = (secs(within.from), secs(within.to));
        let rows = self.store.evidence(&Scope::All, std::slice::from_ref(kiosk), from, to).await?;
        let length = |from: Timestamp, to: Timestamp| to.secs().min(within.to) - from.secs().max(within.from);
        let all = rows.iter().map(|row| length(row.from, row.to)).sum();
        let up = rows.iter().filter(|row| row.state != EvidenceState::Oos);
        Ok((all, up.map(|row| length(row.from, row.to)).sum()))
    }
}

async fn asked(server: &Server, month: Month) -> Result<(UptimeAnswer, Duration)> {
    let query = UptimeQuery::of(UptimeScope::Fleet, period_of(month));
    let watch = Stopwatch::start();
    let answer = server.app.uptime(&Scope::All, &query).await?;
    Ok((answer, watch.elapsed()))
}

impl Server {
    async fn tell(&self, one: &mut Latecomer, records: &[String]) -> Result<()> {
        let epoch = one.name;
        let message = format!(r#"{{"epoch":"{epoch}","first":1,"records":[{}]}}"#, records.join(","));
        self.hear(&one.id, Channel::Journal, message).await?;
        one.said += records.len() as u64;
        let upto = one.said;
        let taken =
            || self.app.fleet().journal(&one.id, Epoch(epoch)).is_some_and(|(known, _)| known == upto);
        until("the records are taken", taken).await
    }
}

impl Latecomer {
    /// What its journal begins with; later, that it still serves.
    fn begins(&self, at: Timestamp) -> Vec<String> {
        if self.said > 0 {
            return vec![self.service(1, true, at)];
        }
        let snapshot = r#""kind":"snapshot","service":"in_service","peripherals":{}"#;
        vec![self.record(1, at, r#""kind":"boot","clean":false"#), self.record(2, at, snapshot)]
    }

    fn service(&self, next: u64, serves: bool, at: Timestamp) -> String {
        let body = match serves {
            true => r#""kind":"service","state":"in_service""#,
            false => r#""kind":"service","state":"out_of_service","cause":"printer""#,
        };
        self.record(next, at, body)
    }

    fn record(&self, next: u64, at: Timestamp, body: &str) -> String {
        let (seq, boot, mono_ms) = (self.said + next, self.name, at.ms());
        format!(r#"{{"seq":{seq},"boot":"{boot}","at":"{at}","mono_ms":{mono_ms},{body}}}"#)
    }
}
