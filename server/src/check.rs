//! `kioskwatch-server check`: whether the database is whole. It writes nothing, and may run beside a server.
use crate::{
    cli::{Problem, print},
    config::Config,
    store::{AuditVerdict, SealsVerdict, Store},
};

/// Prints what is right; fails with everything that is wrong.
pub(crate) async fn run(config: &Config) -> Result<(), Problem> {
    let pages = Store::check(&config.database_url()).await.map_err(Problem::failed)?;
    let has_pages = pages.is_some();
    let mut damage = pages.unwrap_or_default();
    let mut settings = None;
    if damage.is_empty() {
        let store = Store::open_to_read(&config.database_url()).await.map_err(Problem::failed)?;
        settings = store.forgetful_setting().await.map_err(Problem::failed)?;
        match store.verify_audit().await.map_err(Problem::failed)? {
            AuditVerdict::Intact { entries, .. } => print(&format!("audit: {entries} entries, unbroken\n"))?,
            AuditVerdict::Broken { seq, what } => {
                damage.push(format!("the audit chain breaks at {seq}: {what}"));
            }
        }
        match store.verify_seals().await {
            Ok(SealsVerdict { intact, unsealed, broken }) => {
                print(&format!("signed months: {intact} are what the audit says was signed\n"))?;
                if unsealed > 0 {
                    print(&format!("signed months: {unsealed} are older than the sums in the audit\n"))?;
                }
                damage.extend(broken);
            }
            Err(error) => damage.push(format!("signed months cannot be read: {error}")),
        }
        store.close().await;
    }
    if !has_pages {
        print(
            "PostgreSQL's own pages are not checked here: pg_amcheck reads them, data_checksums let it notice bits\n",
        )?;
    }
    let mut wrong = Vec::new();
    if !damage.is_empty() {
        wrong.push(format!("the database is damaged:\n  {}", damage.join("\n  ")));
    }
    if let Some(settings) = settings {
        wrong.push(format!("PostgreSQL forgets in a power cut what agents were told is kept: {settings}"));
    }
    if !wrong.is_empty() {
        return Err(Problem::Failed(wrong.join("\n")));
    }
    if has_pages { print("the database is whole\n") } else { Ok(()) }
}
