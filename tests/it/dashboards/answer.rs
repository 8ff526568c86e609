//! Asks what a panel asks, as Grafana would: variables filled in, macros spelt out, the same two data sources.
use std::collections::BTreeMap;

use kioskwatch_server::clock::Clock;
use kioskwatch_tests::harness::{api::Api, process::Process};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tokio::sync::Mutex;

use super::panel::POSTGRES;

/// Chosen values of a dashboard's variables.
pub(super) type Chosen = BTreeMap<String, Choice>;

#[derive(Debug, Clone)]
pub(super) enum Choice {
    /// One value of a variable that takes one.
    One(String),
    /// All values of a variable that takes several.
    Several(Vec<String>),
    /// `All` of a variable that says what that means.
    AllValue(String),
}

/// The data sources.
pub(super) struct Sources {
    pub(super) prometheus: Api,
    /// Nowhere with SQLite.
    pub(super) postgres: Option<Mutex<PgConnection>>,
    pub(super) clock: Clock,
    /// Prometheus itself.
    pub(super) _process: Process,
}

/// The time shown of PostgreSQL, and of Prometheus: what a stack of a minute can fill.
const HISTORY_S: i64 = 400 * 86_400;
const NOW_S: i64 = 60;

/// What came back: whether anything was in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Something,
    Nothing,
}

impl Sources {
    /// Every way in which the variables of a dashboard can be chosen: each word of a fixed list, the first value
    /// of a query that gives one, all values of a query that gives several.
    pub(super) async fn choices(&self, board: &Value) -> Result<Vec<Chosen>, String> {
        let mut all = vec![Chosen::new()];
        for variable in board["templating"]["list"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or_default();
            let choices = self.values(variable).await.map_err(|error| format!("variable {name}: {error}"))?;
            all = all
                .iter()
                .flat_map(|chosen| {
                    choices.iter().map(|choice| {
                        let mut chosen = chosen.clone();
                        chosen.insert(name.to_owned(), choice.clone());
                        chosen
                    })
                })
                .collect();
        }
        Ok(all)
    }

    async fn values(&self, variable: &Value) -> Result<Vec<Choice>, String> {
        if variable["type"] != "query" {
            let options = variable["options"].as_array().into_iter().flatten();
            return Ok(options.filter_map(|o| Some(Choice::One(o["value"].as_str()?.to_owned()))).collect());
        }
        let found = if variable["datasource"]["uid"] == POSTGRES {
            self.column(variable["query"].as_str().unwrap_or_default()).await?
        } else {
            self.label_values(variable["query"]["query"].as_str().unwrap_or_default()).await?
        };
        // Where nothing is found Grafana asks all the same, with nothing in the variable's place.
        Ok(vec![match (&variable["multi"], variable["allValue"].as_str()) {
            (Value::Bool(true), Some(all)) => Choice::AllValue(all.to_owned()),
            (Value::Bool(true), None) => Choice::Several(found),
            _ => Choice::One(found.first().cloned().unwrap_or_default()),
        }])
    }

    async fn column(&self, query: &str) -> Result<Vec<String>, String> {
        let rows = self.rows(query).await?;
        let value = |row: &Value| {
            let named = row.get("__value").or_else(|| row.as_object()?.values().next());
            named.and_then(Value::as_str).map(str::to_owned)
        };
        Ok(rows.iter().filter_map(value).collect())
    }

    async fn label_values(&self, query: &str) -> Result<Vec<String>, String> {
        let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (metric, label) = inside.and_then(|i| i.split_once(", ")).ok_or_else(|| query.to_owned())?;
        let path = format!("/api/v1/label/{label}/values?match%5B%5D={}", encoded(metric));
        let answer = self.prometheus.json(&path).await?;
        let values = answer["data"].as_array().into_iter().flatten();
        Ok(values.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The rows of a table.
    pub(super) async fn table(&self, panel: &Value, chosen: &Chosen) -> Vec<Value> {
        let text = panel["targets"][0]["rawSql"].as_str().unwrap();
        let text = filled(text, chosen, Choice::sql).unwrap();
        self.rows(&spelt_out(&text, self.clock.now().secs()).unwrap()).await.unwrap()
    }

    /// What one number comes to now.
    pub(super) async fn value(&self, expr: &str) -> Result<f64, String> {
        let answer = self.prometheus.json(&format!("/api/v1/query?query={}", encoded(expr))).await?;
        match answer["data"]["result"].as_array().map(Vec::as_slice) {
            Some([one]) => one["value"][1].as_str().and_then(|text| text.parse().ok()),
            _ => None,
        }
        .ok_or_else(|| answer.to_string())
    }

    /// One target of a panel.
    pub(super) async fn ask(&self, target: &Value, chosen: &Chosen) -> Result<Answer, String> {
        if let Some(text) = target["rawSql"].as_str() {
            let text = spelt_out(&filled(text, chosen, Choice::sql)?, self.clock.now().secs())?;
            let rows = self.rows(&text).await.map_err(|error| format!("{error}\n{text}"))?;
            let says = |row: &Value| row.as_object().is_some_and(|row| row.values().any(|v| !v.is_null()));
            return Ok(if rows.iter().any(says) { Answer::Something } else { Answer::Nothing });
        }
        let text = target["expr"].as_str().ok_or("neither expr nor rawSql")?;
        let text = text.replace("$__rate_interval", "10s").replace("$__range", "60s");
        let text = filled(&text, chosen, Choice::promql)?;
        let path = if target["instant"] == true {
            format!("/api/v1/query?query={}", encoded(&text))
        } else {
            let to = self.clock.now().secs();
            format!("/api/v1/query_range?query={}&start={}&end={to}&step=1", encoded(&text), to - NOW_S)
        };
        let answer = self.prometheus.json(&path).await.map_err(|error| format!("{error}\n{text}"))?;
        let series = answer["data"]["result"].as_array().into_iter().flatten();
        let mut values = series.flat_map(|series| {
            let one = series["value"].as_array().map(|pair| pair[1].clone());
            let many = series["values"].as_array().into_iter().flatten().map(|pair| pair[1].clone());
            one.into_iter().chain(many).collect::<Vec<_>>()
        });
        Ok(if values.any(|value| value != "NaN") { Answer::Something } else { Answer::Nothing })
    }

    /// Each row as a JSON object.
    async fn rows(&self, query: &str) -> Result<Vec<Value>, String> {
        let wrapped = AssertSqlSafe(format!("SELECT row_to_json(asked)::text FROM ({query}) AS asked"));
        let postgres = self.postgres.as_ref().ok_or("nobody can ask PostgreSQL here")?;
        let mut connection = postgres.lock().await;
        let rows = sqlx::query(wrapped).fetch_all(&mut *connection).await.map_err(|e| e.to_string())?;
        rows.iter()
            .map(|row| {
                let text: String = row.try_get(0).map_err(|e| e.to_string())?;
                serde_json::from_str(&text).map_err(|e| e.to_string())
            })
            .collect()
    }
}

/// The two macros of Grafana's PostgreSQL source that our panels use, because they take no argument: Grafana reads the
/// argument of the others up to the first closing parenthesis, whatever was opened in it.
fn spelt_out(text: &str, to: i64) -> Result<String, String> {
    let from = to - HISTORY_S;
    let text =
        text.replace("$__unixEpochFrom()", &from.to_string()).replace("$__unixEpochTo()", &to.to_string());
    match text.find("$__") {
        Some(at) => Err(format!("a macro that Grafana may read otherwise than we do: {}", &text[at..])),
        None => Ok(text),
    }
}

impl Choice {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::One(text) | Self::AllValue(text) => text.is_empty(),
            Self::Several(all) => all.iter().all(String::is_empty),
        }
    }

    /// As Grafana's PostgreSQL source writes it: quoted only where several can be chosen.
    fn sql(&self) -> String {
        let escaped = |text: &str| text.replace('\'', "''");
        match self {
            Self::One(text) | Self::AllValue(text) => escaped(text),
            Self::Several(all) => {
                all.iter().map(|text| format!("'{}'", escaped(text))).collect::<Vec<_>>().join(",")
            }
        }
    }

    fn promql(&self) -> String {
        match self {
            Self::One(text) | Self::AllValue(text) => text.clone(),
            Self::Several(all) => format!("({})", all.join("|")),
        }
    }
}

/// Text with every variable in its place; one that the dashboard does not have is a mistake.
fn filled(text: &str, chosen: &Chosen, write: impl Fn(&Choice) -> String) -> Result<String, String> {
    let mut text = text.to_owned();
    for (name, choice) in chosen {
        text = text
            .replace(&format!("${{{name}}}"), &write(choice))
            .replace(&format!("${name}"), &write(choice));
    }
    match text.find('$').filter(|at| !text[*at..].starts_with("$__")) {
        Some(at) => Err(format!("a variable that the dashboard does not have: {}", &text[at..])),
        None => Ok(text),
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
