//! The committed document is the one the code makes.
use std::{fs, path::Path};

#[test]
fn the_committed_document_is_the_one_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = serde_json::to_string_pretty(&crate::http::openapi_document()).unwrap() + "\n";
    if std::env::var_os("KIOSKWATCH_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "server/openapi.json is stale: KIOSKWATCH_BLESS=1 cargo test -p kioskwatch-server openapi"
    );
}
