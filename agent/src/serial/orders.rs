//! What waits for one port: at most so many orders, of which closing is never lost. A port that stays open is taken from
//! the kiosk application, and stands open towards a machine that may hold cash.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Orders that may wait for one port.
pub(super) const QUEUE: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    Open,
    Close,
    Write(Vec<u8>),
}

#[derive(Debug, Default)]
struct Waiting {
    orders: VecDeque<Order>,
    /// Nobody gives orders any more.
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    news: Notify,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who gives the orders; they end with it.
#[derive(Debug)]
pub(super) struct Giver(Arc<Shared>);

/// Who carries them out.
#[derive(Debug)]
pub(super) struct Taker(Arc<Shared>);

pub(super) fn orders() -> (Giver, Taker) {
    let shared = Arc::<Shared>::default();
    (Giver(Arc::clone(&shared)), Taker(shared))
}

impl Giver {
    /// `false`: there is no room for it. There always is for closing: what was to be done before it is not wanted any more.
    pub(super) fn give(&self, order: Order) -> bool {
        let mut waiting = self.0.waiting();
        if order == Order::Close {
            waiting.orders.clear();
        }
        let fits = waiting.orders.len() < QUEUE;
        if fits {
            waiting.orders.push_back(order);
        }
        drop(waiting);
        self.0.news.notify_one();
        fits
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.0.waiting().ended = true;
        self.0.news.notify_one();
    }
}

impl Taker {
    /// The next one; `None` when there will be no more. Nothing is lost when nobody waits for it to the end.
    pub(super) async fn next(&mut self) -> Option<Order> {
        loop {
            {
                let mut waiting = self.0.waiting();
                if let Some(order) = waiting.orders.pop_front() {
                    return Some(order);
                }
                if waiting.ended {
                    return None;
                }
            }
            self.0.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn write(n: usize) -> Order {
        Order::Write(vec![u8::try_from(n).unwrap()])
    }

    #[tokio::test]
    async fn orders_come_in_turn_and_end_with_their_giver() {
        let (giver, mut taker) = orders();
        assert_eq!(taker.next().now_or_never(), None);
        assert!(giver.give(Order::Open) && giver.give(write(1)));
        assert_eq!(taker.next().await, Some(Order::Open));
        drop(giver);
        assert_eq!(taker.next().await, Some(write(1)));
        assert_eq!(taker.next().await, None);
    }

    #[tokio::test]
    async fn closing_finds_room_whatever_waits_and_nothing_of_before_is_done_after_it() {
        let (giver, mut taker) = orders();
        let fit = (0..2 * QUEUE).take_while(|&n| giver.give(write(n))).count();
        assert_eq!(fit, QUEUE);
        assert!(!giver.give(Order::Open) && giver.give(Order::Close) && giver.give(Order::Open));
        assert_eq!(taker.next().await, Some(Order::Close));
        assert_eq!(taker.next().await, Some(Order::Open));
        assert_eq!(taker.next().now_or_never(), None);
    }
}
