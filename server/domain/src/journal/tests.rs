use super::*;

fn content(n: u8) -> Content {
    Content { digest: Digest([n; 8]), identity: Identity(u64::from(n)) }
}

#[test]
fn the_last_contents_are_remembered_by_number() {
    let mut remembered = Remembered::default();
    for n in 1..=20 {
        remembered.push(content(n));
    }
    assert_eq!(remembered.get(20, 20), Some(&content(20)));
    assert_eq!(remembered.get(20, 13), Some(&content(13)));
    assert_eq!(remembered.get(20, 12), None);
    assert_eq!(remembered.get(20, 21), None);
    assert_eq!(Remembered::from_text(&remembered.to_text()), remembered);
    assert_eq!(Remembered::from_text("nonsense"), Remembered::default());
}

#[test]
fn a_lost_range_is_what_lies_between_ours_and_theirs() {
    for (upto, first, range) in
        [(0, 1, None), (0, 0, None), (5, 3, None), (5, 6, None), (5, 7, Some((6, 6))), (0, 9, Some((1, 8)))]
    {
        assert_eq!(lost(upto, first), range, "{upto} {first}");
    }
}

#[test]
fn identities_outlive_a_new_number() {
    let json = |seq: u64, mono: u64| {
        format!(
            r#"{{"seq":{seq},"boot":"6f1c0d9e-0000-4000-8000-000000000001","at":"2026-11-21T08:00:00.123Z","mono_ms":{mono},"kind":"service","state":"in_service"}}"#
        )
    };
    let identity = |seq, mono| Identity::of(&Record::parse(&json(seq, mono)).unwrap());
    assert_eq!(identity(1, 7), identity(2, 7));
    assert_ne!(identity(1, 7), identity(1, 8));
}
