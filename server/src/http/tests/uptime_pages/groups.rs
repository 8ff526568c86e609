//! Pages of groups: their parts, months and promises.
use super::*;

#[tokio::test]
async fn the_parts_of_a_fleet_add_up_however_it_is_divided() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let rows = [
        signed(month, "K-1", "near", Some("Li"), 1, 7_000),
        signed(month, "K-2", "far", None, 1, 0),
        signed(month, "K-2", "far", None, 2, 90_000),
        signed(month.next(), "K-2", "far", Some("Li"), 1, 11),
    ];
    fixture.app.store().commit(&rows).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    for span in ["month", "quarter"] {
        for (index, measure) in ["on", "avail", "full"].into_iter().enumerate() {
            for by in ["region", "site", "customer", "engineer", "model", "kiosk"] {
                let path = format!("/uptime?month=2026-04&span={span}&measure={measure}&by={by}");
                let page = fixture.get(&path, &viewer).await;
                assert_eq!(page.status, 200, "{path}: {}", page.text);
                assert!(!page.text.contains(HOSTILE[0]), "{path}");
                let figure = (numbers(&page.text, "data-num"), numbers(&page.text, "data-den"));
                let parts = (figure.0[3..].iter().sum::<i64>(), figure.1[3..].iter().sum::<i64>());
                assert_eq!(parts, (figure.0[index], figure.1[index]), "{path}");
                assert!(figure.1[index] > 0, "{path}: there was something to divide");
                assert!(page.text.contains("v2"), "{path}: the version of the figures");
            }
        }
    }
    let lost = fixture.get("/uptime?month=2026-04&measure=on", &viewer).await.text;
    assert_eq!(numbers(&lost, "data-den")[0] - numbers(&lost, "data-num")[0], 97_000, "the restated version");
    let near = fixture.token("viewer", &["near"]).await;
    let scoped = fixture.get("/uptime?month=2026-04&by=kiosk", &near).await.text;
    assert!(scoped.contains("/kiosks/K-1/uptime") && !scoped.contains("/kiosks/K-2/uptime"));
    assert_eq!(fixture.get("/uptime?scope=site&id=far", &near).await.status, 404);
    assert_eq!(fixture.get("/uptime?scope=planet&id=x", &viewer).await.status, 400);
}

#[tokio::test]
async fn a_group_says_of_whom_its_sums_may_lack_something() {
    let fixture = Fixture::start().await;
    let viewer = fixture.token("viewer", &[]).await;
    let lacks = async |query: &str| {
        let page = fixture.get(&format!("/uptime?{query}"), &viewer).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text);
        page.text.contains("K-1: 月度数据无法入账")
    };
    let queries = ["span=month", "span=quarter", "scope=site&id=near", "scope=site&id=far"];
    for query in queries {
        assert!(!lacks(query).await, "{query}");
    }
    fixture.app.books().skip(["K-1".parse().unwrap()].into());
    for (query, theirs) in queries.into_iter().zip([true, true, true, false]) {
        assert_eq!(lacks(query).await, theirs, "{query}");
    }
}

#[tokio::test]
async fn a_page_of_a_group_asks_the_books_again_when_rows_of_its_months_are_booked_and_not_before() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let scopes = ["", "&scope=site&id=near", "&scope=engineer&id=Li", "&scope=model&id=M+%26+M"];
    let scopes = scopes.into_iter().chain(["&scope=region&id=region+of+near", "&scope=customer&id=C"]);
    let paths: Vec<String> = ["month", "quarter"]
        .into_iter()
        .flat_map(|span| {
            scopes.clone().map(move |scope| format!("/uptime?month=2026-04&span={span}&by=kiosk{scope}"))
        })
        .collect();
    // What is lost by the headline, and by the parts.
    let lost = async || {
        let mut lost = Vec::new();
        for path in &paths {
            let page = fixture.get(path, &viewer).await.text;
            let (up, of) = (numbers(&page, "data-num"), numbers(&page, "data-den"));
            lost.push((of[0] - up[0], of[3..].iter().sum::<i64>() - up[3..].iter().sum::<i64>()));
        }
        lost
    };
    let row = |month, version, down_s| {
        let Change::Month(mut row) = signed(month, "K-1", "near", Some("Li"), version, down_s) else {
            unreachable!()
        };
        row.customer = "C".into();
        Change::Month(row)
    };
    let books = fixture.app.books();
    let commit = async |changes: &[Change]| fixture.app.store().commit(changes).await.unwrap();
    let first = [row(month, 1, 7_000)];
    commit(&first).await;
    let is = |lost: Vec<(i64, i64)>, wanted: [i64; 2]| {
        let halves = lost.split_at(lost.len() / 2);
        assert!(halves.0.iter().all(|one| *one == (wanted[0], wanted[0])), "months: {lost:?}, {wanted:?}");
        assert!(halves.1.iter().all(|one| *one == (wanted[1], wanted[1])), "quarters: {lost:?}, {wanted:?}");
    };
    is(lost().await, [7_000, 7_000]);
    let second = [row(month, 2, 9_000)];
    commit(&second).await;
    is(lost().await, [7_000, 7_000]);
    books.note(&second, |_| Some(0));
    is(lost().await, [9_000, 9_000]);
    let next = [row(month.next(), 1, 500)];
    commit(&next).await;
    books.note(&next, |_| Some(0));
    is(lost().await, [9_000, 9_500]);
}

#[tokio::test]
async fn outages_are_told_by_cause_and_of_what_was_signed_without_it_nothing_is_made_up() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let of = |kiosk, outages, by_cause: &[(Cause, i64)]| {
        let Change::Month(mut row) = signed(month, kiosk, "near", Some("Li"), 1, 50) else { unreachable!() };
        row.sums.outages = outages;
        row.sums.outages_by_cause = by_cause.iter().copied().collect();
        row.sums.figures.causes = BTreeMap::from([(Cause::Power, 60), (Cause::Hardware, 40)]);
        Change::Month(row)
    };
    let rows = [of("K-1", 5, &[(Cause::Power, 3), (Cause::Hardware, 2)]), of("K-2", 4, &[])];
    fixture.app.store().commit(&rows).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let ask = async |scope: &str| {
        let path = format!("/api/v1/uptime?month={month}&{scope}");
        fixture.get(&path, &viewer).await.json()["outages"].clone()
    };
    let fleet = ask("scope=fleet").await;
    assert_eq!((&fleet["count"], &fleet["not_told_by_cause"]), (&9.into(), &4.into()));
    assert_eq!(fleet["by_cause"], serde_json::json!({ "power": 3, "hardware": 2 }));
    let older = ask("scope=kiosk&id=K-2").await;
    assert_eq!((&older["by_cause"], &older["not_told_by_cause"]), (&serde_json::json!({}), &4.into()));

    let times = async |path: &str| numbers(&fixture.get(path, &viewer).await.text, "data-times");
    assert_eq!(
        times(&format!("/uptime?month={month}")).await,
        [3, 2, 4],
        "the largest loss first, then what is not told"
    );
    // An outage is one of availability, and of the month.
    let kiosk = |id: &str, rest: &str| format!("/kiosks/{id}/uptime?month={month}{rest}");
    let mut told = times(&kiosk("K-1", "&measure=avail")).await;
    told.sort_unstable();
    assert_eq!(told.iter().sum::<i64>(), 5, "{told:?}");
    assert_eq!(times(&kiosk("K-2", "&measure=avail")).await.last(), Some(&4));
    for rest in ["", "&measure=full", "&measure=avail&day=2026-04-03"] {
        assert!(times(&kiosk("K-1", rest)).await.is_empty(), "{rest}");
        let page = fixture.get(&kiosk("K-1", rest), &viewer).await.text;
        assert!(page.contains("供电 3 · 硬件 2"), "beside the other facts instead: {rest}");
        let page = fixture.get(&kiosk("K-2", rest), &viewer).await.text;
        assert!(page.contains("未按原因统计（由旧版本记账） 4"), "{rest}");
    }
}

#[tokio::test]
async fn a_name_longer_than_any_is_refused_with_the_limit() {
    let fixture = Fixture::start().await;
    let viewer = fixture.token("viewer", &[]).await;
    for scope in ["region", "customer", "engineer", "model", "kiosk", "site"] {
        for (path, says) in [
            ("/api/v1/uptime", "at most 1000 characters, this one has 1001"),
            ("/uptime", "名称最多 1000 个字符，现为 1001 个"),
        ] {
            let ask = async |letters: usize| {
                let name = "%E5%8C%97".repeat(letters);
                fixture.get(&format!("{path}?scope={scope}&id={name}"), &viewer).await
            };
            let refused = ask(1_001).await;
            assert_eq!(refused.status, 422, "{path} {scope}: {}", refused.text);
            assert!(refused.text.contains(says), "{}", refused.text);
            if !["kiosk", "site"].contains(&scope) {
                assert_eq!(ask(1_000).await.status, 200, "{path} {scope}");
            }
        }
    }
}

#[tokio::test]
async fn a_quarter_is_judged_by_the_highest_promise_of_its_months() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let promised = |month, target| {
        // 99.5 % of the month.
        let Change::Month(mut row) = signed(month, "K-1", "near", None, 1, 12_960) else { unreachable!() };
        row.target = target;
        Change::Month(row)
    };
    let rows = [promised(month, (999, 1_000)), promised(month.next(), (99, 100))];
    fixture.app.store().commit(&rows).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let path = |span: &str| format!("/uptime?month=2026-05&span={span}&by=kiosk&measure=on");
    let missed = async |span: &str| {
        let page = fixture.get(&path(span), &viewer).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.text.contains("▼ ")
    };
    assert!(!missed("month").await, "99.5 % and 99 % of May were more than 99 %");
    assert!(missed("quarter").await, "and less than the 99.9 % of April");
    // Of a region that had a kiosk in May only: nothing was promised for its April and June.
    // 98.1 %: more than was promised then, and less than is promised now.
    let Change::Month(mut row) = signed(month.next(), "K-2", "far", None, 1, 50_000) else { unreachable!() };
    (row.target, row.region) = ((95, 100), "new".into());
    fixture.app.store().commit(&[Change::Month(row)]).await.unwrap();
    let path = "/uptime?scope=region&id=new&month=2026-05&by=kiosk&measure=on&span=quarter";
    let page = fixture.get(path, &viewer).await.text;
    assert!(page.contains("95.00%") && !page.contains("▼ "), "an empty month promises nothing: {page}");
}

#[tokio::test]
async fn an_engineer_is_shown_what_they_answer_for_and_both_promises_are_judged() {
    let fixture = Fixture::start().await;
    let admin = fixture.token("admin", &[]).await;
    let month = Month::at(chrono_tz::Asia::Shanghai, fixture.app.clock().now().secs()).previous();
    let rows =
        [signed(month, "K-1", "near", Some("li"), 0, 100), signed(month, "K-1", "near", Some("li"), 1, 100)];
    fixture.app.store().commit(&rows).await.unwrap();
    let ask = async |scope: &str| {
        fixture.get(&format!("/api/v1/uptime?scope={scope}&month={month}"), &admin).await.json()
    };
    let theirs = ask("engineer&id=li").await;
    let (avail, engineer) = (&theirs["avail"], &theirs["engineer"]);
    assert_eq!(engineer["num"], avail["num"]);
    // All of it was the customer's power.
    assert_eq!(engineer["den"].as_i64().unwrap(), avail["den"].as_i64().unwrap() - 200, "{theirs}");
    assert_eq!(ask("kiosk&id=K-1").await["engineer"], serde_json::Value::Null);
    let lost = |target: &str| {
        let one = &theirs[target];
        one["allowed_down_s"].as_i64().unwrap() - one["left_s"].as_i64().unwrap()
    };
    assert_eq!((lost("target_on"), lost("target")), (100, 200), "{theirs}");
    assert_eq!(theirs["insufficient_data"], false);
    let page = fixture.get(&format!("/uptime?scope=engineer&id=li&month={month}"), &admin).await.text;
    assert!(page.contains("工程师可用率") && page.contains("100.00%"), "{page}");
    let other = fixture.get(&format!("/uptime?month={month}"), &admin).await.text;
    assert!(!other.contains("工程师可用率"), "{other}");
}

#[tokio::test]
async fn a_part_of_which_too_little_is_known_says_so_beside_its_figure() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let of = |kiosk, known_in_100| {
        let Change::Month(mut row) = signed(month, kiosk, "near", Some("Li"), 1, 50) else { unreachable!() };
        row.sums.figures.known_s = row.sums.figures.accountable_s * known_in_100 / 100;
        Change::Month(row)
    };
    fixture.app.store().commit(&[of("K-1", 89), of("K-2", 90)]).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let said = async |path: &str| {
        let page = fixture.get(path, &viewer).await.text;
        let parts = page.split("<div class=\"part").skip(1);
        parts.map(|part| part.contains("class=\"low\">数据不足 89.00%<")).collect::<Vec<_>>()
    };
    assert_eq!(said(&format!("/uptime?month={month}&by=kiosk")).await, [true, false]);
    // The site as a whole is known to 89.5 %, and its worst kiosks are told as they are.
    let page = fixture.get(&format!("/uptime?month={month}&by=site"), &viewer).await.text;
    assert!(page.contains("class=\"low\">数据不足 89.50%<"), "{page}");
    assert_eq!(said(&format!("/uptime?month={month}&by=site")).await, [false, true, false]);
}

#[tokio::test]
async fn a_quarter_says_that_its_outages_are_those_of_its_months() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let rows = [month, month.next()].map(|month| signed(month, "K-1", "near", Some("Li"), 1, 50));
    fixture.app.store().commit(&rows).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let page =
        async |span: &str| fixture.get(&format!("/uptime?month={month}&span={span}"), &viewer).await.text;
    let says = "跨月底的一次停机在两个月各计一次";
    assert!(page("quarter").await.contains(says));
    assert!(!page("month").await.contains(says));
}

#[tokio::test]
async fn the_ten_that_were_down_longest_are_named_worst_first() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let name = |n: i64| format!("W-{n:02}");
    let rows: Vec<Change> = (1..=11).map(|n| signed(month, &name(n), "near", None, 1, n * 60)).collect();
    fixture.app.store().commit(&rows).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let ten: Vec<String> = (2..=11).rev().map(name).collect();
    let answer = fixture.get(&format!("/api/v1/uptime?month={month}"), &viewer).await.json();
    let worst = answer["worst"].as_array().unwrap();
    assert_eq!(worst.iter().map(|one| one["kiosk"].as_str().unwrap()).collect::<Vec<_>>(), ten);
    // Of availability, of which each lost twice what it lost of being on.
    let whole = month.period(chrono_tz::Asia::Shanghai).length();
    assert_eq!((&worst[0]["down_s"], &worst[0]["avail"]["num"]), (&1_320.into(), &(whole - 1_320).into()));
    assert_eq!((&answer["worst_by"], &worst[0]["on"]["num"]), (&"avail".into(), &(whole - 660).into()));
    for (measure, down_s) in [("on", 660), ("avail", 1_320), ("full", 1_980)] {
        let path = format!("/api/v1/uptime?month={month}&measure={measure}");
        let answer = fixture.get(&path, &viewer).await.json();
        assert_eq!((&answer["worst_by"], &answer["worst"][0]["down_s"]), (&measure.into(), &down_s.into()));
    }
    let refused = fixture.get(&format!("/api/v1/uptime?month={month}&measure=best"), &viewer).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (400, &"bad_query".into()));
    for span in ["month", "quarter"] {
        let page = fixture.get(&format!("/uptime?month={month}&by=site&span={span}"), &viewer).await.text;
        assert!(page.contains("停机最长的十台 · 开机率</h2>"), "{page}");
        let listed = page.split("停机最长的十台").nth(1).unwrap().split("</ol>").next().unwrap();
        let named = listed.split("/kiosks/").skip(1).map(|one| one.split('/').next().unwrap());
        assert_eq!(named.collect::<Vec<_>>(), ten, "{span}: {listed}");
    }
}

#[tokio::test]
async fn how_often_and_how_long_it_broke_and_what_it_was_before_exclusions_stand_beside_the_figure() {
    let fixture = Fixture::start().await;
    let month: Month = "2026-04".parse().unwrap();
    let Change::Month(mut row) = signed(month, "K-1", "near", None, 1, 21_600) else { unreachable!() };
    // 12 of 720 hours down in 4 outages; without what was forgiven 36, 60 and 84 of 744 hours.
    let hour = 3_600;
    (row.sums.outages, row.sums.excluded_s, row.sums.longest_outage_s) = (4, 24 * hour, 5 * hour);
    row.sums.outages_by_cause = BTreeMap::from([(Cause::Power, 4)]);
    let raw = |down: i64| Ratio::new((744 - down) * hour, 744 * hour);
    (row.sums.raw_on, row.sums.raw_avail, row.sums.raw_full) = (raw(36), raw(60), raw(84));
    fixture.app.store().commit(&[Change::Month(row)]).await.unwrap();
    let viewer = fixture.token("viewer", &[]).await;
    let answer =
        fixture.get(&format!("/api/v1/uptime?scope=kiosk&id=K-1&month={month}"), &viewer).await.json();
    let outages = &answer["outages"];
    assert_eq!((&outages["mtbf_s"], &outages["mttr_s"]), (&(177 * hour).into(), &(3 * hour).into()));
    assert_eq!((&outages["count"], &outages["longest_s"]), (&4.into(), &(5 * hour).into()));
    assert_eq!((&answer["excluded_s"], &answer["avail"]["num"]), (&(24 * hour).into(), &(708 * hour).into()));
    for (name, down) in [("on", 36), ("avail", 60), ("full", 84)] {
        let raw = &answer["raw"][name];
        let expected = ((744 - down) * hour, 744 * hour);
        assert_eq!((&raw["num"], &raw["den"]), (&expected.0.into(), &expected.1.into()), "{name}");
    }
    for page in ["/kiosks/K-1/uptime?", "/uptime?scope=site&id=near&"] {
        for (measure, before) in [("on", "95.16%"), ("avail", "91.94%"), ("full", "88.71%")] {
            let page = fixture.get(&format!("{page}month={month}&measure={measure}"), &viewer).await.text;
            for (fact, says) in [
                ("不可用次数", "4"),
                ("最长不可用", "5 小时"),
                ("平均无故障时间（按可用率）", "7 天 9 小时"),
                ("平均修复时间（按可用率）", "3 小时"),
                ("已批准剔除时间", "1 天"),
                ("剔除前", before),
            ] {
                let shown = format!("<dt>{fact}</dt><dd>{says}</dd>");
                assert!(page.contains(&shown), "{shown}: {page}");
            }
        }
    }
}
