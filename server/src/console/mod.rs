//! Pages for people.
use axum::Router;

use crate::http::Web;

pub(crate) fn routes<L>(_web: &Web, _door: L) -> Router<Web> {
    Router::new()
}
