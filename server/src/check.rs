//! `kioskwatch-server check`: whether the database is whole, page by page.
use crate::{
    cli::{Problem, open_beside, print},
    config::Config,
    store::{AuditVerdict, Store},
};

/// Prints what is right; fails with everything that is wrong.
pub(crate) async fn run(config: &Config) -> Result<(), Problem> {
    let mut wrong = Store::check(&config.database_url()).await.map_err(Problem::failed)?;
    if wrong.is_empty() {
        let store = open_beside(config).await?;
        wrong.extend(store.forgetful_setting().await.map_err(Problem::failed)?);
        match store.verify_audit().await.map_err(Problem::failed)? {
            AuditVerdict::Intact { entries, .. } => print(&format!("audit: {entries} entries, unbroken\n"))?,
            AuditVerdict::Broken { seq, what } => {
                wrong.push(format!("the audit chain breaks at {seq}: {what}"));
            }
        }
        store.close().await;
    }
    if wrong.is_empty() {
        return print("the database is whole\n");
    }
    Err(Problem::Failed(format!("the database is damaged:\n  {}", wrong.join("\n  "))))
}
