//! Signed and running month figures by owner, from the views of PostgreSQL.
use serde_json::json;

use super::{
    board::{Board, choice, console, ratio, sites},
    panel::{Panel, in_time_shown, share},
};

/// Whose figures: one of a few columns, never text of the reader's in the statement.
const OWNER: &str = "COALESCE(NULLIF(CASE '$by' WHEN 'region' THEN region WHEN 'site' THEN site_name || ' (' || NULLIF(site, '') || ')' \
                     WHEN 'customer' THEN customer WHEN 'engineer' THEN engineer WHEN 'model' THEN model \
                     ELSE '全部 / fleet' END, ''), '未分配 / unassigned')";
/// The same as the console names it: nobody has no page but that of the whole.
const OWNER_ID: &str = "CASE '$by' WHEN 'region' THEN region WHEN 'site' THEN COALESCE(site, '') WHEN 'customer' THEN customer \
                        WHEN 'engineer' THEN COALESCE(engineer, '') WHEN 'model' THEN model ELSE '' END";
const UP: &str = "CASE '$ratio' WHEN 'on' THEN on_s WHEN 'avail' THEN avail_s ELSE full_s END";
const OF: &str = "CASE '$ratio' WHEN 'on' THEN on_of_s WHEN 'avail' THEN avail_of_s ELSE full_of_s END";
/// Months that begin in the time shown, of the chosen sites.
const WHERE: &str = concat!(in_time_shown!("period_from_at"), " AND site IN ($site)");
/// What was signed by a version that did not note by what it began.
const NOT_TOLD: &str = "未按原因统计 / not told";
const BOOKED: &str = in_time_shown!("n.booked_at");

pub(super) fn board() -> Board {
    let owners = [
        ("区域 region", "region"),
        ("网点 site", "site"),
        ("客户 customer", "customer"),
        ("工程师 engineer", "engineer"),
        ("机型 model", "model"),
        ("全部 fleet", "fleet"),
    ];
    Board {
        name: "uptime-history",
        title: "开机率历史 / Uptime by month and quarter",
        description: "Official month figures: of each kiosk its highest version. Seconds are summed, then divided.",
        from: "now-400d",
        refresh: "15m",
        variables: vec![ratio(), choice("by", "分组 / By", &owners), sites("v_uptime_month"), console()],
        panels: [state(), groups(), causes()].concat(),
    }
}

/// Whether the rows meet the strictest target among them, both of whose numbers come from one row.
fn meets_strictest() -> String {
    let strictest = |part: &str| {
        format!("(array_agg({part} ORDER BY target_num::float8 / target_den DESC, target_den))[1]")
    };
    let (num, den) = (strictest("target_num"), strictest("target_den"));
    format!("sum({UP}) * {den} >= {num} * sum({OF})")
}

fn state() -> Vec<Panel> {
    let latest = format!("(SELECT max(month) FROM v_uptime_month WHERE {WHERE})");
    let share = format!("SELECT {} AS ratio FROM v_uptime_month WHERE {WHERE}", share(UP, OF));
    let count = |what: &str| {
        format!(
            "SELECT count(DISTINCT kiosk) AS kiosks FROM v_uptime_month WHERE month = {latest} AND {what} AND {WHERE}"
        )
    };
    vec![
        Panel::stat("所选时间 / Whole time shown")
            .sql(&share)
            .sql_insufficient(&format!("FROM v_uptime_month WHERE {WHERE}"))
            .ratio(),
        Panel::stat("最近月份 / Latest month shown")
            .sql_against_target(&format!("{share} AND month = {latest}"), OF, &meets_strictest())
            .sql_insufficient(&format!("FROM v_uptime_month WHERE {WHERE} AND month = {latest}"))
            .may_be_empty("没有应计的时间 / nothing counted"),
        Panel::stat("允许停机余额 / Down time left of the target, latest month")
            .sql(&format!(
                "SELECT CASE '$ratio' WHEN 'full' THEN NULL ELSE \
                 sum({OF} - {UP} - ({OF} * (target_den - target_num))::float8 / target_den) * -1 END AS seconds \
                 FROM v_uptime_month WHERE month = {latest} AND {WHERE}"
            ))
            .unit("s")
            .judged(&[(None, "red"), (Some(0.0), "green")])
            .describe("Below zero: the target is missed by that much.")
            .may_be_empty("全功能率没有目标 / full function has no target"),
        Panel::stat("进行中 / Kiosks not frozen yet, latest month").sql(&count("state = 'open'")),
        Panel::stat("已定稿 / Kiosks frozen, latest month").sql(&count("state = 'frozen'")),
        Panel::stat("已更正 / Kiosks restated, latest month").sql(&count("state = 'restated'")),
    ]
}

fn groups() -> Vec<Panel> {
    let percent = [("unit", json!("percentunit")), ("decimals", json!(2))];
    let trend = format!(
        "SELECT to_timestamp(min(period_from_at) / 1000.0) AS time, {OWNER} AS metric,\n  \
         {} AS value\nFROM v_uptime_month\nWHERE {WHERE}\n\
         GROUP BY month, 2 ORDER BY 1, 2",
        share(UP, OF)
    );
    let target = format!(
        "SELECT to_timestamp(min(period_from_at) / 1000.0) AS time, '目标 / target' AS metric,\n  \
         max(target_num::float8 / target_den) AS value\nFROM v_uptime_month\nWHERE {WHERE} AND '$ratio' <> 'full'\nGROUP BY month ORDER BY 1"
    );
    let meets = meets_strictest();
    let (coverage, share) = (share("known_s", "accountable_s"), share(UP, OF));
    let table = |period: &str, whole: &str| {
        format!(
            "SELECT {period} AS period, {OWNER} AS owner, {OWNER_ID} AS id,\n  \
             CASE {OWNER_ID} WHEN '' THEN 'fleet' ELSE '$by' END AS scope, max(month) AS month,\n  \
             {share} AS ratio,\n  \
             CASE '$ratio' WHEN 'full' THEN NULL ELSE max(target_num::float8 / target_den) END AS target,\n  \
             CASE WHEN sum({OF}) = 0 OR '$ratio' = 'full' THEN '—' WHEN {meets} THEN '达标 / met' ELSE '未达标 / missed' END\n    \
             || CASE WHEN bool_or(state = 'open') THEN '，至今 / so far' ELSE '' END AS verdict,\n  \
             sum({OF} - {UP}) AS down_s, sum({OF}) AS counted_s,\n  \
             {coverage} AS coverage,\n  \
             sum(outages) AS outages, max(longest_outage_s) AS longest_s,\n  \
             count(DISTINCT kiosk) AS kiosks, min(version) || '–' || max(version) AS versions,\n  \
             string_agg(DISTINCT state, ', ') AS states\n\
             FROM v_uptime_month\nWHERE {WHERE}{whole}\nGROUP BY 1, 2, 3 ORDER BY 1 DESC, ratio"
        )
    };
    // A quarter that began before the time shown, or goes on after it, would be judged by a part of it.
    let whole_quarters = "\n  AND quarter NOT IN (SELECT quarter FROM v_uptime_month \
                          WHERE period_from_at < $__unixEpochFrom()::bigint * 1000 \
                          OR period_from_at > $__unixEpochTo()::bigint * 1000)";
    let shown = |title: &str, period: &str, whole: &str| {
        let page = format!(
            "${{console}}/uptime?scope=${{__data.fields[\"类别 / Scope\"]}}&id=${{__data.fields[\"编号 / Id\"]}}\
             &month=${{__data.fields[\"月份 / Month\"]}}&span={period}&measure=${{ratio}}"
        );
        Panel::table(title)
            .sql(&table(period, whole))
            .cell_link("归属 / Owner", "各部分与最差终端 / Its parts and its worst kiosks", &page)
            .name("id", "编号 / Id")
            .name("scope", "类别 / Scope")
            .name("month", "月份 / Month")
            .unseen("编号 / Id")
            .unseen("类别 / Scope")
            .unseen("月份 / Month")
            .name("period", "期间 / Period")
            .name("owner", "归属 / Owner")
            .name("ratio", "比率 / Ratio")
            .name("target", "目标 / Target")
            .name("verdict", "结论 / Verdict")
            .name("down_s", "停机 / Down")
            .name("counted_s", "应计 / Counted")
            .name("coverage", "数据覆盖 / Coverage")
            .name("outages", "中断次数 / Outages")
            .name("longest_s", "最长中断 / Longest")
            .name("kiosks", "终端 / Kiosks")
            .name("versions", "版本 / Versions")
            .name("states", "状态 / State")
            .column("比率 / Ratio", &percent)
            .column("目标 / Target", &percent)
            .column("数据覆盖 / Coverage", &percent)
            .column("停机 / Down", &[("unit", json!("s"))])
            .column("应计 / Counted", &[("unit", json!("s"))])
            .column("最长中断 / Longest", &[("unit", json!("s"))])
            .size(24, 9)
    };
    vec![
        Panel::series("逐月 / Month by month")
            .sql_series(&trend)
            .sql_series(&target)
            .sql_series_insufficient(OWNER, &format!("FROM v_uptime_month\nWHERE {WHERE}"))
            .may_be_empty("全功能率没有目标线 / full function has no line of a target")
            .ratio()
            .column(
                "目标 / target",
                &[
                    ("custom.lineStyle", json!({"fill": "dash", "dash": [8, 6]})),
                    ("custom.fillOpacity", json!(0)),
                    ("color", json!({"mode": "fixed", "fixedColor": "red"})),
                ],
            )
            .size(24, 10),
        shown("月度 / Months", "month", "").describe(
            "Version 0: known so far. 1: frozen. Higher: restated, each with its reason in the API.",
        ),
        shown("季度 / Quarters", "quarter", whole_quarters).describe(
            "A quarter is the sum of its months: of their seconds, and of their outages. One that reaches over the end of a \
             month counts in both, and the longest is the longest within a month. Only those of which no month lies outside \
             of the time shown.",
        )
        .tell(
            "季度为各月之和：跨月底的一次中断在两个月各计一次，最长中断为单个月内的最长。\
             只列出没有月份落在所选时间之外的季度。",
        ),
    ]
}

fn causes() -> Vec<Panel> {
    let named = [
        ("power", "供电 / power"),
        ("network", "网络 / network"),
        ("host", "主机 / host"),
        ("hardware", "硬件 / hardware"),
        ("supplies", "耗材 / supplies"),
        ("software", "软件 / software"),
        ("unexplained", "未说明 / unexplained"),
    ];
    let rows = |column: fn(&str) -> String| {
        let rows = named.iter().map(|(cause, shown)| format!("('{shown}', {})", column(cause)));
        rows.collect::<Vec<_>>().join(", ")
    };
    let seconds = rows(|cause| format!("down_{cause}_s"));
    let numbers = rows(|cause| format!("outages_{cause}"));
    let told = named.map(|(cause, _)| format!("outages_{cause}")).join(" + ");
    let at = "to_timestamp(min(period_from_at) / 1000.0) AS time";
    vec![
        Panel::series("停机原因 / Down hours by cause")
            .sql_series(&format!(
                "SELECT {at}, cause AS metric, sum(seconds)::float8 / 3600 AS value\n\
                 FROM v_uptime_month, LATERAL (VALUES {seconds}) AS down (cause, seconds)\n\
                 WHERE {WHERE} GROUP BY month, 2 ORDER BY 1, 2"
            ))
            .unit("h")
            .stacked()
            .describe("Seconds in which the kiosk did not serve, each with one cause; they add up to the down time of 可用率."),
        Panel::series("中断次数按原因 / Outages by cause")
            .sql_series(&format!(
                "SELECT {at}, cause AS metric, sum(number)::float8 AS value\n\
                 FROM v_uptime_month, LATERAL (VALUES {numbers},\n  \
                 ('{NOT_TOLD}', outages - ({told}))) AS begun (cause, number)\n\
                 WHERE {WHERE} GROUP BY month, 2 HAVING cause <> '{NOT_TOLD}' OR sum(number) > 0 ORDER BY 1, 2"
            ))
            .stacked()
            .describe("Times that 可用率 broke, each under the cause it began with. Not told: months that an older version signed without it."),
        Panel::series("剔除与原始 / Before and after exclusions")
            .sql_series(&format!(
                "SELECT {at}, '剔除后 / adjusted' AS metric, {} AS value\n\
                 FROM v_uptime_month WHERE {WHERE} GROUP BY month\nUNION ALL\n\
                 SELECT {at}, '原始 / raw', {}\n\
                 FROM v_uptime_month WHERE {WHERE} GROUP BY month ORDER BY 1",
                share("avail_s", "avail_of_s"),
                share("raw_avail_s", "raw_avail_of_s"),
            ))
            .sql_series_insufficient("'可用率'", &format!("FROM v_uptime_month WHERE {WHERE}"))
            .ratio()
            .size(24, 8),
        Panel::table("停机最长的十台 / Worst ten kiosks")
            .sql(&format!(
                "SELECT month, kiosk, site_name, {} AS ratio,\n  \
                 sum({OF} - {UP}) AS down_s, max(longest_outage_s) AS longest_s, max(version) AS version,\n  \
                 {} AS coverage\n\
                 FROM v_uptime_month WHERE {WHERE}\n\
                 GROUP BY month, kiosk, site_name HAVING sum({OF} - {UP}) > 0 ORDER BY 5 DESC, 2 LIMIT 10",
                share(UP, OF),
                share("known_s", "accountable_s")
            ))
            .name("month", "月份 / Month")
            .name("kiosk", "终端 / Kiosk")
            .name("site_name", "网点 / Site")
            .name("ratio", "比率 / Ratio")
            .name("coverage", "数据覆盖 / Coverage")
            .name("down_s", "停机 / Down")
            .name("longest_s", "最长中断 / Longest")
            .name("version", "版本 / Version")
            .column("比率 / Ratio", &[("unit", json!("percentunit")), ("decimals", json!(2))])
            .column("数据覆盖 / Coverage", &[("unit", json!("percentunit")), ("decimals", json!(2))])
            .column("停机 / Down", &[("unit", json!("s"))])
            .column("最长中断 / Longest", &[("unit", json!("s"))])
            .cell_link(
                "终端 / Kiosk",
                "区间与证据 / Intervals and evidence",
                "${console}/kiosks/${__data.fields[\"终端 / Kiosk\"]}/uptime?month=${__data.fields[\"月份 / Month\"]}&measure=${ratio}",
            ),
        Panel::table("更正过的月份 / Restated months")
            .sql(&format!(
                "SELECT n.month, n.kiosk, n.version, {} AS was,\n  \
                 {} AS now, to_timestamp(n.booked_at / 1000.0) AS booked\n\
                 FROM v_uptime_version n\n\
                 JOIN v_uptime_version o ON o.month = n.month AND o.kiosk = n.kiosk AND o.version = n.version - 1\n\
                 WHERE n.version > 1 AND {BOOKED}\n\
                 GROUP BY n.month, n.kiosk, n.version, n.booked_at\nORDER BY n.booked_at DESC LIMIT 100",
                share("o.avail_s", "o.avail_of_s"),
                share("n.avail_s", "n.avail_of_s"),
            ))
            .name("month", "月份 / Month")
            .name("kiosk", "终端 / Kiosk")
            .name("version", "版本 / Version")
            .name("was", "原可用率 / Was")
            .name("now", "现可用率 / Now")
            .name("booked", "时间 / At")
            .column("原可用率 / Was", &[("unit", json!("percentunit")), ("decimals", json!(2))])
            .column("现可用率 / Now", &[("unit", json!("percentunit")), ("decimals", json!(2))])
            .cell_link(
                "终端 / Kiosk",
                "区间与证据 / Intervals and evidence",
                "${console}/kiosks/${__data.fields[\"终端 / Kiosk\"]}/uptime?month=${__data.fields[\"月份 / Month\"]}&measure=avail",
            )
            .may_be_empty("没有更正 / nothing was restated"),
    ]
}
