//! Bits that flip inside the rows of an SQLite file, where nothing keeps a checksum: whatever stands there then, the
//! product names it or reads it as it is, and never panics or hangs.
mod cells;

use std::{
    collections::BTreeMap,
    fmt::{self, Debug, Write as _},
    fs,
    io::Write as _,
    sync::Arc,
    time::Duration,
};

use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::*,
    fleet::{Fleet, Input},
    ids::Ids,
    policy::Policy,
    uptime::Commissioned,
};
use kioskwatch_proto::{CommandId, Epoch, KioskId};
use kioskwatch_server::store::{
    AuditVerdict, CorrectionFilter, KioskFilter, PageRequest, RestatementFilter, Scope, Store, StoreError,
    TicketFilter, TokenHash, TokenRow,
};
use kioskwatch_tests::sim::rng::Rng;
use sqlx::Connection as _;
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    damage::Place,
    store_contract::{
        decided::{forgotten, request, restatement},
        months::{month, october},
        rows::*,
        writing::everything,
    },
};

const SEED: u64 = 20_261_123;
/// Of each table.
const FLIPS: usize = 50;
/// A start of the server takes longer than a look, and finds the same.
const STARTS_EVERY: usize = 16;
/// At one time, on the cores of a small machine.
const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(30);

/// A database with rows in every table that a server fills, closed in order: its bytes, and its tables with the page
/// at which each begins.
async fn a_servers_file() -> (Vec<u8>, Vec<(String, usize)>) {
    let place = Place::new();
    let store = Store::open(&place.url()).await.unwrap();
    store.commit(&everything().0).await.unwrap();
    let mut more: Vec<Change> = (1..60).map(|n| Change::Audit(audit(n))).collect();
    for n in 2..30_u64 {
        let id = 5_000 + u128::from(n);
        more.push(Change::JournalRecord(record("k1", 3, n)));
        more.push(Change::Evidence(evidence("k1", -HOUR * n.cast_signed(), 60_000 - HOUR * n.cast_signed())));
        more.push(Change::Transition(transition("k1", n.cast_signed(), "online")));
        more.push(Change::Incident(Box::new(closed(&incident(id, "k1", &format!("k1/printer/{n}"))))));
        more.push(Change::Ticket(Box::new(least_ticket(id, 100 + n))));
    }
    for (kiosk, version) in [("k1", 0), ("k1", 1), ("k1", 2), ("k2", 0), ("k2", 1), ("k3", 0)] {
        more.push(Change::Month(Box::new(month(kiosk, "s1", version, 20 + i64::from(version)))));
    }
    more.push(Change::Restatement(Box::new(restatement(1, RestatementState::Approved))));
    more.push(Change::Correction(Box::new(request(1, forgotten()))));
    more.push(Change::EvidenceGap(EvidenceGapRow { kiosk: kiosk_id("k1"), from: at(0), to: at(10) }));
    more.push(Change::SiteTerms(SiteTermsRow::of(&site("s1"), at(0))));
    let days = WorkCalendar::from_lists(&["2026-10-01".parse().unwrap()], &["2026-10-10".parse().unwrap()]);
    let terms = CalendarTermsRow { known_from: CalendarTermsRow::ALWAYS, days, planned_notice_h: 24 };
    more.push(Change::CalendarTerms(terms));
    let stretch = ServiceSpan { commissioned_at: Some(at(-DAY)), decommissioned_at: Some(at(5)) };
    let stretches = Commissioned::of([stretch]);
    more.push(Change::Commissioned(CommissionedRow { kiosk: kiosk_id("k1"), known_from: at(0), stretches }));
    store.commit(&more).await.unwrap();
    let token = TokenRow {
        id: uuid(1),
        name: "a screen".into(),
        role: "viewer".into(),
        scope: Scope::Sites([site_id("s1")].into()),
        desk: None,
        created_at: at(0),
        expires_at: Some(at(DAY)),
        revoked_at: None,
    };
    store.create_token(&token, &TokenHash([7; 32])).await.unwrap();
    store.take_lease("fleet", uuid(1), NOW, at(DAY)).await.unwrap();
    store.close().await;
    let mut connection = sqlx::AnyConnection::connect(&format!("{}?mode=rw", place.url())).await.unwrap();
    let tables = "SELECT name, rootpage FROM sqlite_master
                  WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations'";
    let tables: Vec<(String, i64)> = sqlx::query_as(tables).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let tables = tables.into_iter().map(|(name, root)| (name, usize::try_from(root).unwrap())).collect();
    (fs::read(place.file("")).unwrap(), tables)
}

/// What somebody who asks for everything is told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    answers: String,
    /// The entries of the audit alone.
    audit: String,
    /// Whose availability it is, and what was down for which cause, alone.
    availability: String,
    /// Refusals, problems, errors: what and where.
    named: Vec<String>,
}

impl Told {
    fn hear<T: Debug>(&mut self, answer: Result<T, StoreError>) {
        match answer {
            // Writing to a String cannot fail.
            Ok(answer) => {
                let _ = writeln!(self.answers, "{answer:?}");
            }
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&mut self, error: &StoreError) {
        let sorted = matches!(
            error,
            StoreError::Inconsistent { .. } | StoreError::Damaged { .. } | StoreError::Unfit { .. }
        );
        let cause = std::error::Error::source(error).map(ToString::to_string);
        self.named.push(format!("{}{error}: {cause:?}", if sorted { "" } else { "UNSORTED " }));
    }

    async fn ask(place: &Place, starts: bool) -> Self {
        let mut told = Self::default();
        match Store::check(&place.url()).await {
            Ok(problems) => told.named.extend(problems.unwrap_or_default()),
            Err(error) => told.refuse(&error),
        }
        match Store::open_to_read(&place.url()).await {
            Ok(store) => {
                told.load(&store).await;
                told.ask_for_history(&store).await;
                told.ask_for_figures(&store).await;
                store.close().await;
            }
            Err(error) => told.refuse(&error),
        }
        if starts {
            match Store::open(&place.url()).await {
                Ok(store) => {
                    told.load(&store).await;
                    store.close().await;
                }
                Err(error) => told.refuse(&error),
            }
        }
        told
    }

    /// As a server begins.
    async fn load(&mut self, store: &Store) {
        let mut fleet = Fleet::empty(Arc::new(Policy::default()));
        let loaded = store
            .load_parts(NOW, |part| {
                let _ = writeln!(self.answers, "{part:?}");
                fleet.load(part);
            })
            .await;
        match loaded {
            Ok(last_alive_at) => {
                let start = Input::ServerStarted { server: uuid(9), last_alive_at };
                let mut ids = Ids::seeded(1);
                let plan = fleet.plan(at(DAY), &[start, Input::BrokerUp, Input::Sweep], &mut ids);
                drop(fleet.adopt(plan));
                drop(fleet.plan(at(2 * DAY), &[Input::Sweep], &mut ids));
            }
            Err(error) => self.refuse(&error),
        }
    }

    async fn ask_for_history(&mut self, store: &Store) {
        let (all, page, k1) = (&Scope::All, &PageRequest::first(), kiosk_id("k1"));
        let (from, to) = (at(-40 * DAY), at(40 * DAY));
        let ids: [KioskId; 3] = ["k1", "k2", "k3"].map(kiosk_id);
        self.hear(store.sites(all, page).await);
        self.hear(store.kiosks(all, &KioskFilter::default(), page).await);
        self.hear(store.assignments_of(&ids, from, to).await);
        self.hear(store.tickets(all, &TicketFilter::default(), page).await);
        for ticket in [1_000, 1_001] {
            self.hear(store.ticket(all, uuid(ticket)).await);
        }
        self.hear(store.incidents(all, &k1, page).await);
        self.hear(store.transitions(all, &k1, from, to, page).await);
        self.hear(store.commands(all, &k1, page).await);
        self.hear(store.command(all, CommandId(uuid(1))).await);
        self.hear(store.journal_records(all, &k1, Epoch(uuid(3)), page).await);
        self.hear(store.journal_gaps(all, &k1).await);
        self.hear(store.evidence(all, &ids, from, to).await);
        self.hear(store.evidence_gaps(&ids, from, to).await);
        self.hear(store.server_liveness(from, to).await);
        self.hear(store.tokens().await);
        match store.audit(&PageRequest::new(Some(200), None)).await {
            Ok(entries) => self.audit = format!("{:?}", entries.items),
            Err(error) => self.refuse(&error),
        }
        match store.verify_audit().await {
            Ok(AuditVerdict::Intact { .. }) => {}
            Ok(AuditVerdict::Broken { seq, what }) => {
                self.named.push(format!("the audit chain breaks at {seq}: {what}"));
            }
            Err(error) => self.refuse(&error),
        }
    }

    async fn ask_for_figures(&mut self, store: &Store) {
        let (all, page) = (&Scope::All, &PageRequest::first());
        let ids: [KioskId; 3] = ["k1", "k2", "k3"].map(kiosk_id);
        let months = store.months_of_kiosks(&ids, october()).await;
        for MonthRow { month, kiosk, version, sums, .. } in months.iter().flatten() {
            let shown = (month, kiosk, version, sums.figures.avail, &sums.figures.causes);
            let _ = writeln!(self.availability, "{shown:?}");
        }
        self.hear(months);
        self.hear(store.signed_months(&ids, october()).await);
        self.hear(store.total_of_month(all, october(), "fleet", "").await);
        self.hear(store.restatements(all, &RestatementFilter::default(), page).await);
        self.hear(store.corrections(all, &CorrectionFilter::default(), page).await);
        self.hear(store.exclusions(all, at(-40 * DAY), at(40 * DAY)).await);
        self.hear(store.site_terms(None).await);
        self.hear(store.calendar_terms().await);
        self.hear(store.commissioned_of(&ids).await);
    }
}

/// What became of the flips of one table.
#[derive(Debug, Default)]
struct Count {
    named: usize,
    /// Other than before, and nothing says so.
    believed: usize,
    /// Nobody asks for it, or it means the same.
    same: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} named, {} read as they are, {} the same", self.named, self.believed, self.same)
    }
}

/// On a thread of its own: whatever panics or hangs there is told of here.
fn look(file: &Arc<[u8]>, byte: usize, bit: usize, starts: bool) -> JoinHandle<Told> {
    let mut bytes = file.to_vec();
    bytes[byte] ^= 1 << bit;
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let place = Place::new();
        fs::write(place.file(""), bytes).unwrap();
        runtime.block_on(Told::ask(&place, starts))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_flips_inside_a_row_is_named_or_read_as_it_is_and_never_ends_anything() {
    let (file, tables) = a_servers_file().await;
    let file: Arc<[u8]> = file.into();
    let mut dice = Rng::new(SEED);
    let mut flips = Vec::new();
    for (table, root) in &tables {
        let bytes: Vec<usize> = cells::rows_of(&file, *root).into_iter().flatten().collect();
        assert!(!bytes.is_empty(), "nothing is in {table}: it is not tried");
        flips.extend((0..FLIPS).map(|_| (table.clone(), bytes[dice.index(bytes.len())], dice.index(8))));
    }
    let whole = {
        let place = Place::new();
        fs::write(place.file(""), &file).unwrap();
        [Told::ask(&place, true).await, Told::ask(&place, false).await]
    };
    assert_eq!([&whole[0].named, &whole[1].named], [&Vec::<String>::new(); 2], "before anything is flipped");

    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for (part, some) in flips.chunks(AT_ONCE).enumerate() {
        let looks: Vec<_> = some
            .iter()
            .zip(part * AT_ONCE..)
            .map(|((_, byte, bit), number)| look(&file, *byte, *bit, number.is_multiple_of(STARTS_EVERY)))
            .collect();
        for (((table, byte, bit), number), looked) in some.iter().zip(part * AT_ONCE..).zip(looks) {
            let which = format!("seed {SEED}, {table}, byte {byte}, bit {bit}");
            let told = tokio::time::timeout(PATIENCE, looked).await.expect(&which).expect(&which);
            let before = &whole[usize::from(!number.is_multiple_of(STARTS_EVERY))];
            let count = counts.entry(table.clone()).or_default();
            let is_read = (&told.answers, &told.audit) == (&before.answers, &before.audit);
            let unsorted = told.named.iter().find(|line| line.starts_with("UNSORTED"));
            assert_eq!(unsorted, None, "{which}");
            match (told.named.is_empty(), is_read) {
                (false, _) => count.named += 1,
                (true, false) => count.believed += 1,
                (true, true) => count.same += 1,
            }
            let promised = (&told.audit, &told.availability) == (&before.audit, &before.availability);
            assert!(!told.named.is_empty() || promised, "{which}: believed: {}", told.availability);
        }
    }
    let mut all = Count::default();
    for (table, count) in &counts {
        let _ = writeln!(std::io::stderr(), "{table}: {count}");
        all = Count {
            named: all.named + count.named,
            believed: all.believed + count.believed,
            same: all.same + count.same,
        };
    }
    let _ = writeln!(std::io::stderr(), "{} flips of {} tables: {all}", flips.len(), tables.len());
    assert!(all.named * 4 > flips.len(), "{all}");
}
