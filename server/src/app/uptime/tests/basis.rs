//! What counts for which figures: what had been received and approved, and until when.
use super::*;

#[tokio::test]
async fn only_a_month_has_a_freeze_and_a_journal_of_days_later_counts_for_the_day_it_tells_of() {
    let from = october().from * 1_000;
    let day = from + 4 * DAY;
    let Change::Evidence(row) = full("k", day, day + DAY) else { unreachable!() };
    let late = EvidenceRow { received_at: Some(Timestamp(day + 3 * DAY)), ..row };
    let shelf = Shelf::with(&[
        site("S-1"),
        kiosk("k", Some("S-1")),
        alive(0, from + 40 * DAY),
        full("k", 0, day),
        Change::Evidence(late),
    ])
    .await;
    let scope = UptimeScope::Kiosk(KioskId::new("k").unwrap());
    let whole = Ratio::new(86_400, 86_400);
    let between = UptimePeriod::Between(Timestamp(day), Timestamp(day + DAY));
    for period in [between, UptimePeriod::DayOf(Timestamp(day + HOUR))] {
        let query = UptimeQuery { scope: scope.clone(), period, as_of: None };
        let answer = shelf.reader(from + 19 * DAY).figures(&Scope::All, &query).await.unwrap();
        assert_eq!(answer.sums.figures.on, whole, "{period:?}");
        let id = KioskId::new("k").unwrap();
        let told = shelf.reader(from + 19 * DAY).explain(&Scope::All, &id, period, None).await.unwrap();
        assert_eq!(told.figures.on, whole, "{period:?}");
    }
}
