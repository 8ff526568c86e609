//! How long an answer waits for who reads it: a page of `/metrics` is tens of megabytes at many sites, and what is not
//! sent of it is held until somebody takes it or the connection ends.
use std::{
    future::Future as _,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// Whoever takes nothing for so long has gone or hangs: Prometheus gives a scrape up after 10 s, a browser asks anew.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gives every connection a [`Line`].
pub(super) struct Patient<L> {
    listener: L,
    patience: Duration,
}

impl<L> From<L> for Patient<L> {
    fn from(listener: L) -> Self {
        Self { listener, patience: PATIENCE }
    }
}

impl<L: Listener<Addr = SocketAddr>> Listener for Patient<L> {
    type Io = Line<L::Io>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (io, peer) = self.listener.accept().await;
        (Line { io, peer, patience: self.patience, waiting: None }, peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

impl<L: Listener<Addr = SocketAddr>> Connected<IncomingStream<'_, Patient<L>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Patient<L>>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// A connection that ends when nobody takes what is written to it. Only what the system does not hold for the reader waits
/// here, and Linux tells of room when a third of it is free: who takes less than that in the time is given up too.
pub(super) struct Line<I> {
    io: I,
    peer: SocketAddr,
    patience: Duration,
    /// Since there was no room for what is to be written.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<I: Unpin> Line<I> {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut I>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = write(Pin::new(&mut self.io), cx);
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        waiting.as_mut().poll(cx).map(|()| {
            let (peer, waited_s) = (self.peer, patience.as_secs());
            tracing::info!(%peer, waited_s, "nobody takes the rest of an answer: the connection is closed");
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Line<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |io, cx| io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |io, cx| io.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Line<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        net::{IpAddr, Ipv4Addr},
        pin::pin,
        sync::{Arc, Mutex},
    };

    use axum::{Router, body::Body, extract::Request, routing::get};
    use futures_util::{poll, stream::unfold};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        sync::{oneshot, watch},
        time::timeout,
    };

    use super::*;
    use crate::http::{address, serve::run};

    const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

    /// One connection of this process: it needs no network.
    struct OneLine(Option<DuplexStream>);

    impl Listener for OneLine {
        type Io = DuplexStream;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (Self::Io, Self::Addr) {
            match self.0.take() {
                Some(line) => (line, PEER),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<Self::Addr> {
            Ok(PEER)
        }
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_let_go() {
        let (held, let_go) = oneshot::channel::<()>();
        let held = Arc::new(Mutex::new(Some(held)));
        let endless = move |request: Request| {
            assert_eq!(address(&request), PEER.ip(), "who asks is known");
            let part = |held| async { Some((Ok::<_, Infallible>(vec![b'x'; 16_384]), held)) };
            std::future::ready(Body::from_stream(unfold(held.lock().unwrap().take(), part)))
        };
        let (mut reader, line) = duplex(65_536);
        let listener = Patient { listener: OneLine(Some(line)), patience: Duration::from_millis(1) };
        let (_stop, stopped) = watch::channel(false);
        tokio::spawn(run(Router::new().route("/", get(endless)), listener, stopped));
        reader.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let gone = timeout(Duration::from_secs(60), let_go).await.expect("it is held for ever");
        assert!(gone.is_err(), "nobody says anything: it is dropped");
        let mut taken = Vec::new();
        reader.read_to_end(&mut taken).await.unwrap();
        assert!(taken.starts_with(b"HTTP/1.1 200 OK") && taken.len() <= 65_536, "{} bytes", taken.len());
    }

    #[tokio::test]
    async fn whoever_takes_a_little_is_waited_for_anew() {
        let (mut reader, io) = duplex(4);
        let mut line = Line { io, peer: PEER, patience: Duration::from_secs(3_600), waiting: None };
        for _ in 0..3 {
            line.write_all(b"four").await.unwrap();
            assert!(line.waiting.is_none());
            assert!(poll!(pin!(line.write_all(b"more"))).is_pending());
            assert!(line.waiting.is_some());
            reader.read_exact(&mut [0; 4]).await.unwrap();
        }
    }
}
