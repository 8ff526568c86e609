//! What a server has written, read around it: a judge does not ask the accused.
use kioskwatch_proto::Timestamp;
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

/// An incident about a device, open or over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredIncident {
    pub kiosk: String,
    pub fault: String,
    /// `info`, `minor` or `major`.
    pub severity: String,
    /// What was decided about it.
    pub triage: String,
    pub is_open: bool,
    pub ticket: Option<String>,
}

/// A ticket for something that an agent told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTicket {
    pub id: String,
    pub kiosk: String,
    pub fault: String,
    pub state: String,
}

/// A kiosk was called offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineVerdict {
    pub kiosk: String,
    pub at: Timestamp,
    pub noticed_at: Timestamp,
    pub reason: String,
    /// When it was called online again.
    pub lifted_at: Option<Timestamp>,
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

    /// The last number that is applied of each journal, by epoch.
    pub async fn heads(&self) -> Answer<Vec<(String, u64)>> {
        let mut database = AnyConnection::connect(&self.url).await?;
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT epoch, upto FROM journal_head").fetch_all(&mut database).await?;
        Ok(rows.into_iter().map(|(epoch, upto)| (epoch, upto.unsigned_abs())).collect())
    }

    /// Ranges of numbers that the server gave up.
    pub async fn gaps(&self) -> Answer<u64> {
        let mut database = AnyConnection::connect(&self.url).await?;
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM journal_gap").fetch_one(&mut database).await?;
        Ok(count.unsigned_abs())
    }

    pub async fn incidents(&self) -> Answer<Vec<StoredIncident>> {
        let mut database = AnyConnection::connect(&self.url).await?;
        // Absence is the server's own finding, and a short one is no ticket; the disk of the machine that all this runs
        // on may really be full.
        let text = "SELECT kiosk, fault, severity, triage,
                           CAST(CASE WHEN closed_at IS NULL THEN 1 ELSE 0 END AS BIGINT), ticket
                    FROM incident
                    WHERE kiosk IS NOT NULL AND COALESCE(peripheral, 'host') <> 'host'";
        let rows: Vec<(String, String, String, String, i64, Option<String>)> =
            sqlx::query_as(text).fetch_all(&mut database).await?;
        let incident = |(kiosk, fault, severity, triage, open, ticket)| StoredIncident {
            kiosk,
            fault,
            severity,
            triage,
            is_open: open == 1,
            ticket,
        };
        Ok(rows.into_iter().map(incident).collect())
    }

    pub async fn agents_tickets(&self) -> Answer<Vec<StoredTicket>> {
        let mut database = AnyConnection::connect(&self.url).await?;
        let text = "SELECT id, kiosk, fault, state FROM ticket
                    WHERE source = 'agent' AND kiosk IS NOT NULL AND COALESCE(peripheral, 'host') <> 'host'
                    ORDER BY id";
        let rows: Vec<(String, String, String, String)> =
            sqlx::query_as(text).fetch_all(&mut database).await?;
        let ticket = |(id, kiosk, fault, state)| StoredTicket { id, kiosk, fault, state };
        Ok(rows.into_iter().map(ticket).collect())
    }

    /// Who was called offline, for however short: once for each time.
    pub async fn offline_verdicts(&self) -> Answer<Vec<OfflineVerdict>> {
        let mut database = AnyConnection::connect(&self.url).await?;
        let text = "SELECT kiosk, at, noticed_at, reason,
                           (SELECT MIN(later.at) FROM transition AS later
                            WHERE later.kiosk = verdict.kiosk AND later.kind = 'presence'
                                  AND later.to_state = 'online' AND later.at >= verdict.at)
                    FROM transition AS verdict
                    WHERE kind = 'presence' AND to_state = 'offline' ORDER BY at, kiosk";
        let rows: Vec<(String, i64, i64, String, Option<i64>)> =
            sqlx::query_as(text).fetch_all(&mut database).await?;
        let verdict =
            |(kiosk, at, noticed_at, reason, lifted_at): (_, _, _, _, Option<i64>)| OfflineVerdict {
                kiosk,
                at: Timestamp(at),
                noticed_at: Timestamp(noticed_at),
                reason,
                lifted_at: lifted_at.map(Timestamp),
            };
        Ok(rows.into_iter().map(verdict).collect())
    }

    /// About whom tickets say that nobody is there.
    pub async fn offline_tickets(&self) -> Answer<Vec<String>> {
        let mut database = AnyConnection::connect(&self.url).await?;
        let text =
            "SELECT COALESCE(kiosk, site, '') FROM ticket WHERE fault IN ('kiosk_offline', 'site_offline')";
        sqlx::query_scalar(text).fetch_all(&mut database).await
    }
}
