//! What a server has written, read around it: a judge does not ask the accused.
use sqlx::{AnyConnection, Connection as _};

/// One record as the server keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    pub kiosk: String,
    pub epoch: String,
    pub seq: u64,
    /// `applied`, `quarantined` or `repeat`.
    pub outcome: String,
    /// The bytes as the agent wrote them.
    pub raw: String,
}

/// A server's database, by its URL. Each question is a connection of its own: the database may die between two.
#[derive(Debug, Clone)]
pub struct Rows {
    url: String,
}

type Answer<T> = Result<T, sqlx::Error>;

impl Rows {
    pub fn of(url: &str) -> Self {
        sqlx::any::install_default_drivers();
        Self { url: url.to_owned() }
    }

    /// Of an SQLite file, which is never written to, whether its server runs or lies dead.
    pub fn of_file(url: &str) -> Self {
        Self::of(&format!("{url}?mode=ro"))
    }

    pub async fn record_count(&self) -> Answer<u64> {
        let mut database = AnyConnection::connect(&self.url).await?;
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM journal_record").fetch_one(&mut database).await?;
        Ok(count.unsigned_abs())
    }

    pub async fn records(&self) -> Answer<Vec<StoredRecord>> {
        let mut database = AnyConnection::connect(&self.url).await?;
        let rows: Vec<(String, String, i64, String, String)> = sqlx::query_as(
            "SELECT kiosk, epoch, seq, outcome, raw FROM journal_record ORDER BY kiosk, epoch, seq",
        )
        .fetch_all(&mut database)
        .await?;
        let record = |(kiosk, epoch, seq, outcome, raw): (_, _, i64, _, _)| {
            let seq = seq.unsigned_abs();
            StoredRecord { kiosk, epoch, seq, outcome, raw }
        };
        Ok(rows.into_iter().map(record).collect())
    }

    /// Ranges of numbers that the server gave up.
    pub async fn gaps(&self) -> Answer<u64> {
        let mut database = AnyConnection::connect(&self.url).await?;
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM journal_gap").fetch_one(&mut database).await?;
        Ok(count.unsigned_abs())
    }

    /// Kiosk and fault of every incident about a device, open or over.
    pub async fn incidents(&self) -> Answer<Vec<(String, String)>> {
        let mut database = AnyConnection::connect(&self.url).await?;
        // Absence is the server's own finding, and a short one is no ticket; the disk of the machine that all this runs
        // on may really be full.
        let text = "SELECT kiosk, fault FROM incident
                    WHERE kiosk IS NOT NULL AND COALESCE(peripheral, 'host') <> 'host'";
        sqlx::query_as(text).fetch_all(&mut database).await
    }

    /// About whom tickets say that nobody is there.
    pub async fn offline_tickets(&self) -> Answer<Vec<String>> {
        let mut database = AnyConnection::connect(&self.url).await?;
        let text =
            "SELECT COALESCE(kiosk, site, '') FROM ticket WHERE fault IN ('kiosk_offline', 'site_offline')";
        sqlx::query_scalar(text).fetch_all(&mut database).await
    }
}
