//! A dashboard: panels in reading order, laid out from left to right.
use serde_json::{Value, json};

use super::panel::{POSTGRES, PROMETHEUS, Panel};

/// Grafana's grid.
const COLUMNS: u64 = 24;
/// The classic JSON model of Grafana 12; newer versions read it.
const SCHEMA: u64 = 41;

pub(super) struct Board {
    /// The file in `deploy/grafana`, without its ending, and what follows `kioskwatch-` in the uid.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) from: &'static str,
    pub(super) refresh: &'static str,
    pub(super) variables: Vec<Value>,
    pub(super) panels: Vec<Panel>,
}

impl Board {
    /// Whether it needs the second data source.
    pub(super) fn folder(&self) -> &'static str {
        if self.json().to_string().contains(POSTGRES) { "dashboards-postgres" } else { "dashboards" }
    }

    pub(super) fn json(&self) -> Value {
        let mut panels = Vec::new();
        let (mut x, mut y, mut row) = (0, 0, 0);
        for (panel, id) in self.panels.iter().zip(1..) {
            if x + panel.width > COLUMNS {
                (x, y, row) = (0, y + row, 0);
            }
            panels.push(panel.json(id, (x, y)));
            x += panel.width;
            row = row.max(panel.height);
        }
        json!({
            "uid": format!("kioskwatch-{}", self.name), "title": self.title, "description": self.description,
            "tags": ["kioskwatch"], "schemaVersion": SCHEMA, "version": 1, "editable": true,
            "graphTooltip": 1, "timezone": "browser", "refresh": self.refresh,
            "time": {"from": self.from, "to": "now"},
            "templating": {"list": self.variables}, "annotations": {"list": []},
            "links": [{
                "type": "dashboards", "title": "Kioskwatch", "tags": ["kioskwatch"], "asDropdown": false,
                "includeVars": false, "keepTime": true, "targetBlank": false, "icon": "external link",
                "tooltip": "", "url": "",
            }],
            "panels": panels,
        })
    }
}

/// Where the console is, for links from a panel to it.
pub(super) fn console() -> Value {
    let here = "http://127.0.0.1:8080";
    json!({
        "name": "console", "label": "控制台地址 / Console", "type": "textbox", "query": here,
        "options": [{"text": here, "value": here, "selected": true}],
        "current": {"text": here, "value": here},
    })
}

/// One of a few words.
pub(super) fn choice(name: &str, label: &str, words: &[(&str, &str)]) -> Value {
    let query: Vec<String> = words.iter().map(|(text, value)| format!("{text} : {value}")).collect();
    let option = |index: usize, (text, value): &(&str, &str)| json!({"text": text, "value": value, "selected": index == 0});
    let options: Vec<Value> = words.iter().enumerate().map(|(index, word)| option(index, word)).collect();
    json!({
        "name": name, "label": label, "type": "custom", "query": query.join(","), "options": options,
        "current": {"text": words[0].0, "value": words[0].1}, "multi": false, "includeAll": false,
    })
}

pub(super) fn ratio() -> Value {
    let words = [("开机率 on", "on"), ("可用率 avail", "avail"), ("全功能率 full", "full")];
    choice("ratio", "指标 / Ratio", &words)
}

/// Any of the values of a label.
pub(super) fn label(name: &str, shown: &str, metric: &str, of: &str, several: bool) -> Value {
    let query = format!("label_values({metric}, {of})");
    let mut variable = json!({
        "name": name, "label": shown, "type": "query",
        "datasource": {"type": "prometheus", "uid": PROMETHEUS},
        "query": {"query": query, "refId": name}, "definition": query,
        "refresh": 2, "sort": 1, "multi": several, "includeAll": several,
    });
    if several {
        variable["allValue"] = json!(".*");
        variable["current"] = json!({"text": ["All"], "value": ["$__all"]});
    }
    variable
}

/// Any of the sites of a view. What belongs to none is one of them, also before anything is there: a list of nothing
/// is no SQL.
pub(super) fn sites(view: &str) -> Value {
    let query = format!(
        "SELECT site AS __value, COALESCE(NULLIF(max(name), ''), '—') AS __text\n\
         FROM (SELECT COALESCE(site, '') AS site, site_name AS name FROM {view} UNION ALL SELECT '', '') AS seen\n\
         GROUP BY site ORDER BY 2"
    );
    column("site", "网点 / Site", &query, true)
}

/// Any of the values of a column.
pub(super) fn column(name: &str, shown: &str, query: &str, several: bool) -> Value {
    let mut variable = json!({
        "name": name, "label": shown, "type": "query",
        "datasource": {"type": "grafana-postgresql-datasource", "uid": POSTGRES},
        "query": query, "definition": query,
        "refresh": 2, "sort": 1, "multi": several, "includeAll": several,
    });
    if several {
        variable["current"] = json!({"text": ["All"], "value": ["$__all"]});
    }
    variable
}
