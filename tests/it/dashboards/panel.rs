//! One panel: what it asks, how it looks, and whether silence is an answer.
use serde_json::{Value, json};

/// The data sources of `deploy/grafana/provisioning`.
pub(super) const PROMETHEUS: &str = "kioskwatch-prometheus";
pub(super) const POSTGRES: &str = "kioskwatch-postgres";

/// What stands in a description before the reason why a panel may be empty.
pub(super) const MAY_BE_EMPTY: &str = "可为空 / May be empty: ";

/// The queries of a judged panel and their colours: what misses the target, what meets it, what has none.
const VERDICTS: [(char, &str); 3] = [('A', "red"), ('B', "green"), ('C', "blue")];
/// Beside a figure that stands on too little: what is known of its time ("uptime definition 2.7": below 90 %).
pub(super) const INSUFFICIENT: &str = "数据不足，已知 / insufficient data, known";
/// Of rows of month figures: as much too little, in whole numbers.
const TOO_LITTLE: &str = "sum(known_s) * 10 < sum(accountable_s) * 9";
/// Of what Prometheus divided.
const TOO_LITTLE_OF: &str = " < 0.9";
/// Good while it is nothing.
pub(super) const NONE_IS_GOOD: &[(Option<f64>, &str)] = &[(None, "green"), (Some(1.0), "red")];
pub(super) const FEW_IS_GOOD: &[(Option<f64>, &str)] = &[(None, "green"), (Some(1.0), "yellow")];
/// A number without judgement.
pub(super) const PLAIN: &[(Option<f64>, &str)] = &[(None, "blue")];

/// One question to a data source.
#[derive(Debug, Clone)]
enum Query {
    Prometheus { expr: String, legend: String },
    Sql { text: String, series: bool },
}

#[derive(Debug, Clone)]
pub(super) struct Panel {
    kind: &'static str,
    title: String,
    description: String,
    queries: Vec<Query>,
    pub(super) width: u64,
    pub(super) height: u64,
    unit: Option<&'static str>,
    thresholds: Vec<(Option<f64>, &'static str)>,
    threshold_line: bool,
    stacked: bool,
    decimals: Option<u64>,
    /// Column (after renaming) → extra properties.
    overrides: Vec<(String, Vec<(&'static str, Value)>)>,
    /// Columns as they come → as they are shown; an empty name hides one.
    names: Vec<(&'static str, &'static str)>,
    sort: Option<(String, bool)>,
    links: Vec<(String, String)>,
    text_mode: &'static str,
    says_states: bool,
    by_verdict: bool,
    /// Which query answers only where too little is known.
    mark: Option<char>,
}

/// Whether an instant (in milliseconds) lies in the time shown. Grafana's own `$__timeFilter` takes its argument up to
/// the first closing parenthesis, so it cannot hold a function of a column.
macro_rules! in_time_shown {
    ($at:literal) => {
        concat!($at, " BETWEEN $__unixEpochFrom()::bigint * 1000 AND $__unixEpochTo()::bigint * 1000")
    };
}
pub(super) use in_time_shown;

/// Seconds summed and then divided. With two decimals 100 % stands only where nothing was lost and 0 % only
/// where nothing worked, as in the console.
pub(super) fn share(up: &str, of: &str) -> String {
    let ratio = format!("sum({up})::float8 / NULLIF(sum({of}), 0)");
    format!(
        "CASE WHEN sum({up}) <= 0 OR sum({up}) >= sum({of}) THEN {ratio} \
         ELSE LEAST(GREATEST({ratio}, 0.0001), 0.9999) END"
    )
}

/// The same of a ratio that Prometheus has divided.
pub(super) fn honest(ratio: &str) -> String {
    format!("({ratio} == 0) or ({ratio} == 1) or clamp({ratio}, 0.0001, 0.9999)")
}

impl Panel {
    fn new(kind: &'static str, title: &str) -> Self {
        Self {
            kind,
            title: title.to_owned(),
            description: String::new(),
            queries: Vec::new(),
            width: 12,
            height: 8,
            unit: None,
            thresholds: PLAIN.to_vec(),
            threshold_line: false,
            stacked: false,
            decimals: None,
            overrides: Vec::new(),
            names: Vec::new(),
            sort: None,
            links: Vec::new(),
            text_mode: "auto",
            says_states: false,
            by_verdict: false,
            mark: None,
        }
    }

    pub(super) fn stat(title: &str) -> Self {
        Self::new("stat", title).size(4, 4)
    }

    pub(super) fn series(title: &str) -> Self {
        Self::new("timeseries", title)
    }

    pub(super) fn bars(title: &str) -> Self {
        Self::new("bargauge", title)
    }

    pub(super) fn table(title: &str) -> Self {
        Self::new("table", title)
    }

    pub(super) fn timeline(title: &str) -> Self {
        Self::new("state-timeline", title).says_states()
    }

    pub(super) fn prom(mut self, legend: &str, expr: &str) -> Self {
        self.queries.push(Query::Prometheus { expr: expr.to_owned(), legend: legend.to_owned() });
        self
    }

    /// Rows as they are.
    pub(super) fn sql(mut self, text: &str) -> Self {
        self.queries.push(Query::Sql { text: text.to_owned(), series: false });
        self
    }

    /// Rows of `time`, `metric`, `value`.
    pub(super) fn sql_series(mut self, text: &str) -> Self {
        self.queries.push(Query::Sql { text: text.to_owned(), series: true });
        self
    }

    pub(super) fn size(mut self, width: u64, height: u64) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    pub(super) fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }

    /// A ratio of seconds with two decimals, from [`share`] or [`honest`].
    pub(super) fn ratio(mut self) -> Self {
        (self.unit, self.decimals) = (Some("percentunit"), Some(2));
        self
    }

    pub(super) fn judged(mut self, thresholds: &[(Option<f64>, &'static str)]) -> Self {
        self.thresholds = thresholds.to_vec();
        self
    }

    /// Each of three queries has its colour: what misses the target, what meets it, what has none.
    pub(super) fn by_verdict(mut self) -> Self {
        self.by_verdict = true;
        self
    }

    /// Where of the seconds of these selectors too little is known, how much it is; `groups`: of each group by itself.
    pub(super) fn prom_insufficient(mut self, selector: &str, groups: bool) -> Self {
        let seconds = |what: &str| {
            let each = format!("max by (id) (kioskwatch_uptime_{what}_seconds{{{selector}}})");
            if groups { each } else { format!("sum({each})") }
        };
        let (known, unknown) = (seconds("known"), seconds("unknown"));
        let legend = if groups { format!("{{{{id}}}} {INSUFFICIENT}") } else { INSUFFICIENT.to_owned() };
        self.mark = Some(self.next_letter());
        self.prom(&legend, &format!("({known} / ({known} + {unknown} > 0)){TOO_LITTLE_OF}"))
    }

    /// The same of the rows of month figures that `of` names: `FROM` and `WHERE`.
    pub(super) fn sql_insufficient(mut self, of: &str) -> Self {
        self.mark = Some(self.next_letter());
        let coverage = share("known_s", "accountable_s");
        self.sql(&format!("SELECT {coverage} AS \"{INSUFFICIENT}\" {of} HAVING {TOO_LITTLE}"))
    }

    /// The same month by month: points beside the line of each owner.
    pub(super) fn sql_series_insufficient(self, owner: &str, of: &str) -> Self {
        let coverage = share("known_s", "accountable_s");
        self.sql_series(&format!(
            "SELECT to_timestamp(min(period_from_at) / 1000.0) AS time, {owner} || ' {INSUFFICIENT}' AS metric,\n  \
             {coverage} AS value\n{of}\nGROUP BY month, 2 HAVING {TOO_LITTLE} ORDER BY 1, 2"
        ))
    }

    fn next_letter(&self) -> char {
        ('A'..='Z').nth(self.queries.len()).unwrap_or('Z')
    }

    /// Another line of the description.
    pub(super) fn tell(mut self, text: &str) -> Self {
        if !self.description.is_empty() {
            self.description.push('\n');
        }
        self.description += text;
        self
    }

    /// What a stat says is the name of its series, not the number.
    pub(super) fn says_name(mut self) -> Self {
        self.text_mode = "name";
        self
    }

    /// Words and colours of states in place of 0, 1 and the names of the evidence.
    pub(super) fn says_states(mut self) -> Self {
        self.says_states = true;
        self
    }

    pub(super) fn stacked(mut self) -> Self {
        self.stacked = true;
        self
    }

    pub(super) fn line_at(mut self, value: f64) -> Self {
        self.thresholds = vec![(None, "transparent"), (Some(value), "red")];
        self.threshold_line = true;
        self
    }

    pub(super) fn describe(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    pub(super) fn may_be_empty(mut self, why: &str) -> Self {
        self = self.tell(MAY_BE_EMPTY);
        self.description += why;
        self
    }

    pub(super) fn name(mut self, column: &'static str, shown: &'static str) -> Self {
        self.names.push((column, shown));
        self
    }

    pub(super) fn hide(self, column: &'static str) -> Self {
        self.name(column, "")
    }

    pub(super) fn column(mut self, shown: &str, properties: &[(&'static str, Value)]) -> Self {
        self.overrides.push((shown.to_owned(), properties.to_vec()));
        self
    }

    /// The cells of a column lead somewhere.
    pub(super) fn cell_link(self, shown: &str, title: &str, url: &str) -> Self {
        self.column(shown, &[("links", json!([{"title": title, "url": url, "targetBlank": true}]))])
    }

    /// A column that is only there for the links of others: one that [`Self::hide`] takes out they cannot read.
    pub(super) fn unseen(self, shown: &str) -> Self {
        self.column(shown, &[("custom.hidden", json!(true))])
    }

    pub(super) fn sorted_by(mut self, shown: &str, descending: bool) -> Self {
        self.sort = Some((shown.to_owned(), descending));
        self
    }

    pub(super) fn link(mut self, title: &str, url: &str) -> Self {
        self.links.push((title.to_owned(), url.to_owned()));
        self
    }

    pub(super) fn json(&self, id: usize, (x, y): (u64, u64)) -> Value {
        let source = |uid: &str| match uid {
            POSTGRES => json!({"type": "grafana-postgresql-datasource", "uid": uid}),
            _ => json!({"type": "prometheus", "uid": uid}),
        };
        let instant = matches!(self.kind, "stat" | "bargauge" | "table");
        let targets: Vec<Value> = self
            .queries
            .iter()
            .zip('A'..)
            .map(|(query, letter)| match query {
                Query::Prometheus { expr, legend } => json!({
                    "refId": letter.to_string(), "datasource": source(PROMETHEUS), "expr": expr,
                    "legendFormat": legend, "instant": instant, "range": !instant,
                    "format": if self.kind == "table" { "table" } else { "time_series" },
                }),
                Query::Sql { text, series } => json!({
                    "refId": letter.to_string(), "datasource": source(POSTGRES), "rawSql": text,
                    "rawQuery": true, "editorMode": "code",
                    "format": if *series { "time_series" } else { "table" },
                }),
            })
            .collect();
        let first = match self.queries.first() {
            Some(Query::Sql { .. }) => source(POSTGRES),
            _ => source(PROMETHEUS),
        };
        let mut panel = json!({
            "id": id, "type": self.kind, "title": self.title, "datasource": first,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": self.defaults(), "overrides": self.overrides()},
            "options": self.options(), "targets": targets,
        });
        if !self.description.is_empty() {
            panel["description"] = json!(self.description);
        }
        if !self.links.is_empty() {
            let link = |(title, url): &(String, String)| {
                json!({
                    "type": "link", "title": title, "url": url, "targetBlank": true, "asDropdown": false,
                    "icon": "external link", "includeVars": false, "keepTime": false, "tags": [], "tooltip": "",
                })
            };
            panel["links"] = self.links.iter().map(link).collect();
        }
        if let Some(transformations) = self.transformations() {
            panel["transformations"] = transformations;
        }
        panel
    }

    fn defaults(&self) -> Value {
        let step = |(value, color): &(Option<f64>, &str)| json!({"color": color, "value": value});
        let steps: Vec<Value> = self.thresholds.iter().map(step).collect();
        let mode = match self.kind {
            "timeseries" => "palette-classic",
            // By thresholds Grafana would draw the steps and not the states: with one step, no change at all.
            "state-timeline" => "fixed",
            _ => "thresholds",
        };
        let mut defaults = json!({
            "color": {"mode": mode},
            "thresholds": {"mode": "absolute", "steps": steps},
        });
        if let Some(unit) = self.unit {
            defaults["unit"] = json!(unit);
        }
        if let Some(decimals) = self.decimals {
            defaults["decimals"] = json!(decimals);
        }
        if self.says_states {
            defaults["mappings"] = states();
        }
        match self.kind {
            "timeseries" => {
                defaults["custom"] = json!({
                    "drawStyle": "line", "lineWidth": 2, "fillOpacity": if self.stacked { 30 } else { 8 },
                    "showPoints": "auto", "spanNulls": false,
                    "stacking": {"mode": if self.stacked { "normal" } else { "none" }, "group": "A"},
                    "thresholdsStyle": {"mode": if self.threshold_line { "dashed" } else { "off" }},
                });
            }
            "table" => defaults["custom"] = json!({"align": "auto", "filterable": true}),
            "state-timeline" => {
                defaults["custom"] = json!({"fillOpacity": 80, "lineWidth": 0});
            }
            _ => {}
        }
        defaults
    }

    fn overrides(&self) -> Vec<Value> {
        let property = |(id, value): &(&str, Value)| json!({"id": id, "value": value});
        let verdicts = VERDICTS.iter().filter(|_| self.by_verdict).map(|(letter, color)| {
            json!({
                "matcher": {"id": "byFrameRefID", "options": letter.to_string()},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
            })
        });
        let columns = self.overrides.iter().map(|(column, properties)| {
            let properties: Vec<Value> = properties.iter().map(property).collect();
            json!({"matcher": {"id": "byName", "options": column}, "properties": properties})
        });
        let mark = self.mark.iter().map(|letter| {
            json!({
                "matcher": {"id": "byFrameRefID", "options": letter.to_string()},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": "orange"}}],
            })
        });
        verdicts.chain(mark).chain(columns).collect()
    }

    fn options(&self) -> Value {
        let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        match self.kind {
            "stat" => json!({
                "reduceOptions": reduce, "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
                "orientation": "auto", "textMode": self.text_mode,
            }),
            "bargauge" => json!({
                "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true,
                "valueMode": "color", "reduceOptions": reduce,
            }),
            "table" => {
                let sort = self.sort.iter().map(|(name, desc)| json!({"displayName": name, "desc": desc}));
                json!({"showHeader": true, "cellHeight": "sm", "sortBy": sort.collect::<Vec<_>>()})
            }
            "state-timeline" => json!({
                "mergeValues": true, "showValue": "never", "alignValue": "left", "rowHeight": 0.9,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            _ => json!({
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
        }
    }

    fn transformations(&self) -> Option<Value> {
        if self.kind != "table" || self.names.is_empty() {
            return None;
        }
        let mut renamed = serde_json::Map::new();
        let mut hidden = serde_json::Map::new();
        let mut order = serde_json::Map::new();
        for (index, (column, shown)) in self.names.iter().enumerate() {
            if shown.is_empty() {
                hidden.insert((*column).to_owned(), json!(true));
            } else {
                renamed.insert((*column).to_owned(), json!(shown));
                order.insert((*column).to_owned(), json!(index));
            }
        }
        let organize = json!({"id": "organize", "options": {"excludeByName": hidden, "indexByName": order, "renameByName": renamed}});
        Some(if self.queries.len() > 1 {
            json!([{"id": "merge", "options": {}}, organize])
        } else {
            json!([organize])
        })
    }
}

/// A query that answers only where too little is known, asked of everything.
pub(super) fn of_everything(target: &Value) -> Option<Value> {
    if !target.to_string().contains(INSUFFICIENT) {
        return None;
    }
    let mut target = target.clone();
    for (field, low) in [("expr", TOO_LITTLE_OF), ("rawSql", TOO_LITTLE)] {
        let Some(text) = target[field].as_str() else { continue };
        assert!(text.contains(low), "{text}");
        let any = if field == "expr" { "" } else { "sum(accountable_s) > 0" };
        target[field] = json!(text.replace(low, any));
    }
    Some(target)
}

/// 0 and 1 of a gauge, and the words of the evidence.
pub(super) fn states() -> Value {
    let look = |text: &str, color: &str, index: u64| json!({"text": text, "color": color, "index": index});
    json!([{"type": "value", "options": {
        "1": look("正常 / yes", "green", 0), "0": look("异常 / no", "red", 1),
        "FULL": look("全功能 / fully working", "green", 2), "DEGRADED": look("降级 / degraded", "yellow", 3),
        "ON_ONLY": look("已开机 / on", "blue", 4), "OOS": look("停止服务 / out of service", "red", 5),
        "OFF": look("关机 / off", "purple", 6),
    }}])
}
