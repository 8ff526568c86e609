//! Signatures whose bodies follow.
#![expect(unused_variables, clippy::unused_async, reason = "bodies follow")]
use kioskwatch_domain::{
    change::{
        AssignmentRow, Change, CommandRow, EvidenceRow, ExclusionRow, IncidentRow, JournalGapRow,
        JournalHeadRow, JournalRecordRow, LivenessRow, SiteRow, TicketRow, TransitionRow,
    },
    image::FleetImage,
};
use kioskwatch_proto::{CommandId, Epoch, KioskId, SiteId, Timestamp};
use uuid::Uuid;

use super::{
    AuditEntry, AuditVerdict, CommandView, KioskFilter, KioskView, Lease, Page, PageRequest, Scope, Store,
    StoreError, TicketFilter, TicketView, TokenHash, TokenRow,
};

type Result<T> = std::result::Result<T, StoreError>;

fn unfinished<T>() -> Result<T> {
    Err(StoreError::Url { what: "not finished".into() })
}

impl Store {
    /// Opens `sqlite://path` or `postgres://…`, brings the schema up to date, and on SQLite locks the file.
    pub async fn open(url: &str) -> Result<Self> {
        unfinished()
    }
    /// Whether the database answers a writer now.
    pub async fn ping(&self) -> Result<()> {
        unfinished()
    }
    /// Ends all connections and gives the SQLite file free.
    pub async fn close(&self) {}

    /// Takes the partition for `owner` until `until`; every later commit of this store checks it.
    pub async fn take_lease(
        &self,
        partition: &str,
        owner: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Lease> {
        unfinished()
    }
    pub async fn renew_lease(&self, until: Timestamp) -> Result<Lease> {
        unfinished()
    }
    /// Lets the next owner take it at once.
    pub async fn release_lease(&self, now: Timestamp) -> Result<()> {
        unfinished()
    }

    /// All changes or none. After a retryable error, call again with the same changes first.
    pub async fn commit(&self, changes: &[Change]) -> Result<()> {
        unfinished()
    }
    /// What a server starts from.
    pub async fn load_image(&self, now: Timestamp) -> Result<FleetImage> {
        unfinished()
    }

    pub async fn sites(&self, scope: &Scope, page: &PageRequest) -> Result<Page<SiteRow>> {
        unfinished()
    }
    pub async fn site(&self, scope: &Scope, id: &SiteId) -> Result<Option<SiteRow>> {
        unfinished()
    }
    pub async fn kiosks(
        &self,
        scope: &Scope,
        filter: &KioskFilter,
        page: &PageRequest,
    ) -> Result<Page<KioskView>> {
        unfinished()
    }
    pub async fn kiosk(&self, scope: &Scope, id: &KioskId) -> Result<Option<KioskView>> {
        unfinished()
    }
    /// Every assignment of visible kiosks that overlaps `from..to`.
    pub async fn assignments(
        &self,
        scope: &Scope,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<AssignmentRow>> {
        unfinished()
    }

    /// Newest first.
    pub async fn tickets(
        &self,
        scope: &Scope,
        filter: &TicketFilter,
        page: &PageRequest,
    ) -> Result<Page<TicketRow>> {
        unfinished()
    }
    pub async fn ticket(&self, scope: &Scope, id: Uuid) -> Result<Option<TicketView>> {
        unfinished()
    }

    /// `None`: no such kiosk for this reader. Newest first.
    pub async fn incidents(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        page: &PageRequest,
    ) -> Result<Option<Page<IncidentRow>>> {
        unfinished()
    }
    /// Those with `from <= at < to`, newest first; `None`: no such kiosk for this reader.
    pub async fn transitions(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        from: Timestamp,
        to: Timestamp,
        page: &PageRequest,
    ) -> Result<Option<Page<TransitionRow>>> {
        unfinished()
    }
    /// Evidence of visible kiosks among `kiosks` (at most `MAX_EVIDENCE_KIOSKS`) that overlaps `from..to`.
    pub async fn evidence(
        &self,
        scope: &Scope,
        kiosks: &[KioskId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<EvidenceRow>> {
        unfinished()
    }
    /// Spans in which any server was able to receive and that overlap `from..to`.
    pub async fn server_liveness(&self, from: Timestamp, to: Timestamp) -> Result<Vec<LivenessRow>> {
        unfinished()
    }
    /// Exclusions of visible kiosks and sites that overlap `from..to`.
    pub async fn exclusions(
        &self,
        scope: &Scope,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<ExclusionRow>> {
        unfinished()
    }

    pub async fn command(&self, scope: &Scope, id: CommandId) -> Result<Option<CommandView>> {
        unfinished()
    }
    /// Newest first; `None`: no such kiosk for this reader.
    pub async fn commands(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        page: &PageRequest,
    ) -> Result<Option<Page<CommandRow>>> {
        unfinished()
    }

    /// The journals of a kiosk, newest epoch first.
    pub async fn journal_heads(&self, scope: &Scope, kiosk: &KioskId) -> Result<Option<Vec<JournalHeadRow>>> {
        unfinished()
    }
    /// Records of one journal as they came, newest first; `None`: no such kiosk for this reader.
    pub async fn journal_records(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        epoch: Epoch,
        page: &PageRequest,
    ) -> Result<Option<Page<JournalRecordRow>>> {
        unfinished()
    }
    /// One record, to tell a repeat from a fork.
    pub async fn journal_record(
        &self,
        scope: &Scope,
        kiosk: &KioskId,
        epoch: Epoch,
        seq: u64,
    ) -> Result<Option<JournalRecordRow>> {
        unfinished()
    }
    pub async fn journal_gaps(&self, scope: &Scope, kiosk: &KioskId) -> Result<Option<Vec<JournalGapRow>>> {
        unfinished()
    }

    /// Newest first. Not scoped: only for those who may read the audit at all.
    pub async fn audit(&self, page: &PageRequest) -> Result<Page<AuditEntry>> {
        unfinished()
    }
    /// Walks the whole chain.
    pub async fn verify_audit(&self) -> Result<AuditVerdict> {
        unfinished()
    }

    pub async fn create_token(&self, token: &TokenRow, hash: &TokenHash) -> Result<()> {
        unfinished()
    }
    /// Also revoked and expired ones: the caller decides and says why.
    pub async fn token_by_hash(&self, hash: &TokenHash) -> Result<Option<TokenRow>> {
        unfinished()
    }
    /// Whether there was such a token that was not revoked yet.
    pub async fn revoke_token(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        unfinished()
    }
    pub async fn tokens(&self) -> Result<Vec<TokenRow>> {
        unfinished()
    }
}
