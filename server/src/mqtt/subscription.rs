//! What we ask the broker to deliver, and whether it granted all of it. Pure.
use kioskwatch_proto::topic::{Channel, Topic};
use rumqttc::v5::mqttbytes::{
    QoS,
    v5::{Filter, SubscribeReasonCode},
};

/// Filters of one SUBSCRIBE, in their order: the broker answers each with a code.
#[derive(Debug, Default, Clone)]
pub(super) struct Subscription(Vec<Filter>);

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
