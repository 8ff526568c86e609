//! What is under the server: a file of its own, or a cluster that can die beside it.
use std::path::Path;

use super::DatabaseKind;
use crate::harness::{postgres::Postgres, rows::Rows};

#[derive(Debug)]
pub(super) enum Database {
    /// Lives and dies with the server that holds it.
    Sqlite {
        url: String,
    },
    Postgres {
        url: String,
        cluster: Box<Postgres>,
    },
}

impl Database {
    /// Empty; a file is in `dir`.
    pub(super) async fn start(kind: DatabaseKind, dir: &Path) -> Self {
        match kind {
            DatabaseKind::Sqlite => {
                Self::Sqlite { url: format!("sqlite://{}", dir.join("database/kioskwatch.sqlite").display()) }
            }
            DatabaseKind::Postgres => {
                let cluster = Box::new(Postgres::start());
                Self::Postgres { url: cluster.fresh_database().await, cluster }
            }
        }
    }

    /// As the server is told it.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Sqlite { url } | Self::Postgres { url, .. } => url,
        }
    }

    /// Read around the server.
    pub(super) fn rows(&self) -> Rows {
        match self {
            Self::Sqlite { url } => Rows::of_file(url),
            Self::Postgres { url, .. } => Rows::of(url),
        }
    }

    /// With all its processes. A file has none: [`super::Options`] refuses to ask for it.
    pub(super) fn kill(&self) {
        if let Self::Postgres { cluster, .. } = self {
            cluster.kill();
        }
    }

    pub(super) fn resume(&self) {
        if let Self::Postgres { cluster, .. } = self {
            cluster.resume();
        }
    }
}
