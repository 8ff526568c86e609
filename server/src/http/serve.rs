//! From routes to a listener.
use std::net::SocketAddr;

use axum::Router;
use tokio::{net::TcpListener, sync::watch};

use super::{Web, monitoring_router, router};
use crate::app::App;

/// Serves API and console until told to stop, then lets running requests end.
pub async fn serve(app: App, listener: TcpListener, stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let web = Web::new(app, stop.clone());
    run(router(web), listener, stop).await
}

/// Serves `/metrics`, `/livez`, `/readyz` until told to stop.
pub async fn serve_monitoring(
    app: App,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    run(monitoring_router(app), listener, stop).await
}

async fn run(router: Router, listener: TcpListener, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stopped = async move {
        // A gone sender means stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, service).with_graceful_shutdown(stopped).await
}
