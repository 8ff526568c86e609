//! What we ask the broker to deliver, and whether it granted all of it. Pure.
use std::time::Duration;

use kioskwatch_proto::topic::{Channel, Topic};
use rumqttc::v5::mqttbytes::{
    QoS,
    v5::{Filter, SubscribeReasonCode},
};
use tokio::time::Instant;

/// Filters of one SUBSCRIBE, in their order: the broker answers each with a code.
#[derive(Debug, Default, Clone)]
pub(super) struct Subscription(Vec<Filter>);

/// When messages that were given up may be asked for again. Each time brings everything the broker keeps, so the
/// pause doubles while that brings new losses.
#[derive(Debug, Default)]
pub(super) struct AskAgain {
    last: Option<(Instant, Duration)>,
}

impl AskAgain {
    const FIRST: Duration = Duration::from_secs(10);
    const LONGEST: Duration = Duration::from_secs(320);

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.last.is_none_or(|(asked, pause)| now >= asked + pause)
    }

    pub(super) fn asked(&mut self, now: Instant) {
        let pause = match self.last {
            Some((asked, pause)) if now < asked + pause * 2 => (pause * 2).min(Self::LONGEST),
            _ => Self::FIRST,
        };
        self.last = Some((now, pause));
    }
}

impl Subscription {
    pub(super) fn of(channels: impl IntoIterator<Item = Channel>) -> Self {
        let filter = |channel: Channel| {
            let qos = if channel.qos() == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            Filter::new(Topic::fleet_filter(channel), qos)
        };
        Self(channels.into_iter().map(filter).collect())
    }

    pub(super) fn filters(&self) -> Vec<Filter> {
        self.0.clone()
    }

    /// Which filters the broker did not grant, and why. A server that lacks one of them would take its silence
    /// for everybody's.
    pub(super) fn refused(&self, codes: &[SubscribeReasonCode]) -> Option<String> {
        if codes.len() != self.0.len() {
            let (asked, answered) = (self.0.len(), codes.len());
            return Some(format!("{answered} answers to {asked} filters"));
        }
        let refused: Vec<String> = (self.0.iter().zip(codes))
            .filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)))
            .map(|(filter, code)| format!("{} ({code:?})", filter.path))
            .collect();
        (!refused.is_empty()).then(|| refused.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_loses_again_what_was_asked_for_again_waits_longer_each_time() {
        let s = Duration::from_secs;
        let mut now = Instant::now();
        let mut again = AskAgain::default();
        assert!(again.is_due(now));
        for pause in [10, 20, 40, 80, 160, 320, 320] {
            again.asked(now);
            assert!(!again.is_due(now + s(pause - 1)) && again.is_due(now + s(pause)), "{pause}");
            now += s(pause);
        }
        // A round without loss, and long after it another stall.
        again.asked(now + s(3_600));
        assert!(again.is_due(now + s(3_610)));
    }

    const GRANTED: SubscribeReasonCode = SubscribeReasonCode::Success(QoS::AtMostOnce);

    #[test]
    fn only_a_grant_for_every_filter_is_a_subscription() {
        let both = Subscription::of([Channel::Journal, Channel::Presence]);
        let lower = SubscribeReasonCode::Success(QoS::AtLeastOnce);
        assert_eq!(both.refused(&[GRANTED, lower]), None);
        for code in [
            SubscribeReasonCode::Failure,
            SubscribeReasonCode::Unspecified,
            SubscribeReasonCode::ImplementationSpecific,
            SubscribeReasonCode::NotAuthorized,
            SubscribeReasonCode::TopicFilterInvalid,
            SubscribeReasonCode::PkidInUse,
            SubscribeReasonCode::QuotaExceeded,
            SubscribeReasonCode::SharedSubscriptionsNotSupported,
            SubscribeReasonCode::SubscriptionIdNotSupported,
            SubscribeReasonCode::WildcardSubscriptionsNotSupported,
        ] {
            let refused = both.refused(&[GRANTED, code]).unwrap();
            assert_eq!(refused, format!("{} ({code:?})", Topic::fleet_filter(Channel::Presence)));
        }
        for codes in [&[][..], &[GRANTED], &[GRANTED; 3]] {
            assert!(both.refused(codes).is_some(), "{codes:?}");
        }
    }
}
