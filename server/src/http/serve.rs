//! From routes to a listener.
use std::net::SocketAddr;

use axum::{Router, serve::Listener};
use tokio::{net::TcpListener, sync::watch};

use super::{
    Web, monitoring_router,
    patience::{Patient, Peer},
    router,
};
use crate::app::App;

/// Serves API and console until told to stop, then lets running requests end.
pub async fn serve(app: App, listener: TcpListener, stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let web = Web::new(app, stop.clone());
    run(router(web), listener.into(), stop).await
}

/// Serves `/metrics`, `/livez`, `/readyz` until told to stop.
pub async fn serve_monitoring(
    app: App,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    run(monitoring_router(app), listener.into(), stop).await
}

pub(super) async fn run<L: Listener<Addr = SocketAddr>>(
    router: Router,
    listener: Patient<L>,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<Peer>();
    let stopped = async move {
        // A gone sender means stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, service).with_graceful_shutdown(stopped).await
}
