//! The broker settings that shape what clients see, under Kafka's names.

use std::collections::BTreeMap;

use carrick_types::limits::{KIB, MIB, PARTITIONS_PER_TOPIC_MAX};

/// A key of the `[kafka]` table that is not known, or a value it does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    #[error("kafka.{key}: there is no such setting; known are {}", KEYS.join(", "))]
    Unknown { key: String },
    #[error("kafka.{key} = {value:?}: {want} is wanted")]
    Value { key: String, value: String, want: &'static str },
}

const KEYS: &[&str] = &[
    "auto.create.topics.enable",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.min.session.timeout.ms",
    "message.max.bytes",
    "num.partitions",
    "offsets.retention.minutes",
    "replication.factor.max",
];

/// Kafka writes time-outs in a signed number.
const TIME_MS_MAX: u32 = i32::MAX as u32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSettings {
    pub auto_create_topics: bool,
    pub num_partitions: u32,
    /// The default of a topic's `max.message.bytes`.
    pub message_max_bytes: u32,
    /// How long the first member of an empty group waits for more to come.
    pub group_initial_rebalance_delay_ms: u32,
    /// The session time-outs that members may ask for.
    pub group_min_session_timeout_ms: u32,
    pub group_max_session_timeout_ms: u32,
    /// How long the offsets of a group are kept that has no members.
    pub offsets_retention_minutes: u32,
    /// Replication factors up to this are accepted, and 1 is reported.
    pub replication_factor_max: i16,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            auto_create_topics: false,
            num_partitions: 1,
            message_max_bytes: (MIB + 12) as u32,
            // Kafka waits 3 s; after a failover each of them counts.
            group_initial_rebalance_delay_ms: 0,
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            offsets_retention_minutes: 7 * 24 * 60,
            replication_factor_max: 1,
        }
    }
}

impl BrokerSettings {
    /// Reads Kafka's names; every fault is returned.
    pub fn from_kafka(table: &BTreeMap<String, String>) -> Result<Self, Vec<BadSetting>> {
        let mut settings = Self::default();
        let mut faults = Vec::new();
        for (key, value) in table {
            if let Err(fault) = settings.set(key, value) {
                faults.push(fault);
            }
        }
        if settings.group_min_session_timeout_ms > settings.group_max_session_timeout_ms {
            faults.push(BadSetting::Value {
                key: "group.min.session.timeout.ms".into(),
                value: settings.group_min_session_timeout_ms.to_string(),
                want: "a time that is not above group.max.session.timeout.ms",
            });
        }
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), BadSetting> {
        let bad = |want| BadSetting::Value { key: key.into(), value: value.into(), want };
        match key {
            "auto.create.topics.enable" => {
                self.auto_create_topics = value.parse().map_err(|_| bad("true or false"))?;
            }
            "num.partitions" => {
                let want = "a number from 1 to 10000";
                let count = value.parse().map_err(|_| bad(want))?;
                if !(1..=PARTITIONS_PER_TOPIC_MAX).contains(&count) {
                    return Err(bad(want));
                }
                self.num_partitions = count;
            }
            "message.max.bytes" => {
                let want = "a number of bytes from 1024 to 104857600";
                let bytes = value.parse().map_err(|_| bad(want))?;
                if !(KIB as u32..=100 * MIB as u32).contains(&bytes) {
                    return Err(bad(want));
                }
                self.message_max_bytes = bytes;
            }
            "group.initial.rebalance.delay.ms" => {
                self.group_initial_rebalance_delay_ms =
                    number(value, 0).ok_or_else(|| bad("a number of milliseconds from 0 to 2147483647"))?;
            }
            "group.max.session.timeout.ms" => {
                self.group_max_session_timeout_ms =
                    number(value, 1).ok_or_else(|| bad("a number of milliseconds from 1 to 2147483647"))?;
            }
            "group.min.session.timeout.ms" => {
                self.group_min_session_timeout_ms =
                    number(value, 1).ok_or_else(|| bad("a number of milliseconds from 1 to 2147483647"))?;
            }
            "offsets.retention.minutes" => {
                self.offsets_retention_minutes =
                    number(value, 1).ok_or_else(|| bad("a number of minutes from 1 to 2147483647"))?;
            }
            "replication.factor.max" => {
                let want = "a number from 1 to 32767";
                let max = value.parse().map_err(|_| bad(want))?;
                if max < 1 {
                    return Err(bad(want));
                }
                self.replication_factor_max = max;
            }
            _ => return Err(BadSetting::Unknown { key: key.into() }),
        }
        Ok(())
    }

    /// What DescribeConfigs of the broker shows.
    pub(crate) fn shown(&self) -> Vec<(&'static str, String)> {
        vec![
            ("auto.create.topics.enable", self.auto_create_topics.to_string()),
            ("group.initial.rebalance.delay.ms", self.group_initial_rebalance_delay_ms.to_string()),
            ("group.max.session.timeout.ms", self.group_max_session_timeout_ms.to_string()),
            ("group.min.session.timeout.ms", self.group_min_session_timeout_ms.to_string()),
            ("message.max.bytes", self.message_max_bytes.to_string()),
            ("num.partitions", self.num_partitions.to_string()),
            ("offsets.retention.minutes", self.offsets_retention_minutes.to_string()),
            ("replication.factor.max", self.replication_factor_max.to_string()),
        ]
    }
}

/// From `min` to what Kafka's signed numbers hold.
fn number(value: &str, min: u32) -> Option<u32> {
    value.parse().ok().filter(|number| (min..=TIME_MS_MAX).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported() {
        let table = [("num.partitions", "0"), ("nonsense", "1"), ("message.max.bytes", "5k")];
        let table = table.map(|(key, value)| (key.to_string(), value.to_string())).into();
        assert_eq!(BrokerSettings::from_kafka(&table).unwrap_err().len(), 3);
    }

    #[test]
    fn the_shortest_session_is_not_longer_than_the_longest() {
        let table = |min: &str, max: &str| {
            let pairs = [("group.min.session.timeout.ms", min), ("group.max.session.timeout.ms", max)];
            BTreeMap::from(pairs.map(|(key, value)| (key.to_string(), value.to_string())))
        };
        assert!(BrokerSettings::from_kafka(&table("100", "100")).is_ok());
        assert_eq!(BrokerSettings::from_kafka(&table("101", "100")).unwrap_err().len(), 1);
        assert_eq!(BrokerSettings::from_kafka(&table("0", "2147483648")).unwrap_err().len(), 2);
    }

    #[test]
    fn what_is_shown_can_be_set() {
        let shown = BrokerSettings::default().shown();
        assert_eq!(shown.iter().map(|(key, _)| *key).collect::<Vec<_>>(), KEYS);
        let table = shown.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
        assert_eq!(BrokerSettings::from_kafka(&table), Ok(BrokerSettings::default()));
    }
}
