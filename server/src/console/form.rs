//! What becomes of a form that was sent.
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse as _, Redirect, Response},
};

use crate::http::Problem;

/// Goes to where the outcome is shown. A refusal that somebody can do something about is told on the page beside
/// what they typed; others have a page of their own.
pub(super) async fn answered(
    outcome: Result<String, Problem>,
    page: impl AsyncFnOnce(&Problem) -> Result<Html<String>, Problem>,
) -> Result<Response, Problem> {
    match outcome {
        Ok(shown_at) => Ok(Redirect::to(&shown_at).into_response()),
        Err(problem) if is_for_the_form(problem.status) => {
            let page = page(&problem).await?;
            Ok((problem.status, page).into_response())
        }
        Err(problem) => Err(problem),
    }
}

fn is_for_the_form(status: StatusCode) -> bool {
    matches!(status, StatusCode::FORBIDDEN | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY)
}
