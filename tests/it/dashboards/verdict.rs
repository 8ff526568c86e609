//! Ratios coloured by the target that is configured: Grafana takes no threshold from a query, so what misses the
//! target, what meets it and what has none are three queries of one panel.
use super::panel::{Panel, honest};

const COLOURS: &str = "绿色达标，红色未达标，蓝色没有目标（全功能率） / \
                       Green meets the target, red misses it, blue has none (full function).";
/// `[uptime] target` as it is now.
pub(super) const TARGET: &str = "kioskwatch_uptime_target_ratio";
/// What was promised for last month.
pub(super) const TARGET_OF_LAST_MONTH: &str = "kioskwatch_uptime_last_month_target_ratio";
/// What Prometheus says of the target: nothing where the chosen ratio has none.
pub(super) const PROMISED: &str = "max(kioskwatch_uptime_target_ratio) \
    and on () kioskwatch_uptime_up_seconds{scope=\"fleet\", ratio=\"$ratio\", ratio!=\"full\"}";

impl Panel {
    /// Ratios that Prometheus divides, coloured by a target of it. `ratio` takes further matchers.
    pub(super) fn prom_against(self, target: &str, legend: &str, ratio: impl Fn(&str) -> String) -> Self {
        let promised = ratio(", ratio!=\"full\"");
        let that = |verdict: &str| {
            format!("sort(({}) and ({promised} {verdict} scalar(max({target}))))", honest(&promised))
        };
        self.prom(legend, &that("<"))
            .prom(legend, &that(">="))
            .prom(legend, &format!("sort({})", honest(&ratio(", ratio=\"full\""))))
            .ratio()
            .by_verdict()
            .tell(COLOURS)
    }

    /// One ratio of a database, coloured by what was promised for its rows: `meets` compares whole numbers. Where
    /// `of` sums to nothing there is no ratio to judge.
    pub(super) fn sql_against_target(self, ratio: &str, of: &str, meets: &str) -> Self {
        let judged = format!("{ratio} HAVING '$ratio' <> 'full' AND sum({of}) > 0");
        self.sql(&format!("{judged} AND NOT ({meets})"))
            .sql(&format!("{judged} AND {meets}"))
            .sql(&format!("{ratio} HAVING '$ratio' = 'full'"))
            .ratio()
            .by_verdict()
            .tell(COLOURS)
    }
}
