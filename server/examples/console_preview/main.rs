//! The console over a made-up fleet, without broker and agents: for people who work on its pages.
//! `cargo run -p kioskwatch-server --example console_preview -- 127.0.0.1:8099`
mod books;
mod fleet;
mod history;

use std::{error::Error, io::Write as _, sync::Arc};

use kioskwatch_domain::{fleet::Fleet, policy::Policy};
use kioskwatch_proto::command::CommandSigner;
use kioskwatch_server::{
    app::{App, Parts},
    clock::Clock,
    config::Config,
    http,
    metrics::Counters,
    store::Store,
};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8099".to_owned());
    let folder = std::env::temp_dir().join(format!("kioskwatch-preview-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let store = Store::open(&format!("sqlite://{}/preview.sqlite", folder.display())).await?;
    let clock = Arc::new(Clock::start());
    let policy = Arc::new(Policy::default());
    store.commit(&fleet::changes(clock.now())).await?;
    let image = store.load_image(clock.now()).await?;
    let mut config = Config::default();
    config.console.open_access = true;
    let (app, _requests) = App::new(Parts {
        config,
        clock,
        store,
        fleet: Fleet::from_image(Arc::clone(&policy), image),
        policy,
        signer: CommandSigner::from_secret("preview", &[1; 32]),
        counters: Counters::new()?,
    });
    books::keep(&app).await?;
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    let (_stop, stopped) = watch::channel(false);
    http::serve(app, listener, stopped).await?;
    Ok(())
}
