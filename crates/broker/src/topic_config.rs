//! Topic settings: Kafka's names, what each takes, and what it is when nobody set it.

use std::collections::BTreeMap;

use carrick_log::TopicLog;

use crate::settings::BrokerSettings;

/// Kafka's type numbers of DescribeConfigs (KIP-569).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

pub(crate) struct Known {
    pub name: &'static str,
    pub kind: Kind,
    default: &'static str,
    takes: Takes,
}

enum Takes {
    Number {
        min: i64,
        max: i64,
    },
    Ratio,
    Flag,
    OneOf(&'static [&'static str]),
    /// Kafka knows more values; those are refused with the reason.
    Only {
        value: &'static str,
        why: &'static str,
    },
    Anything,
}

use Takes::{Anything, Flag, Number, OneOf, Only, Ratio};

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;

const fn known(name: &'static str, kind: Kind, default: &'static str, takes: Takes) -> Known {
    Known { name, kind, default, takes }
}

/// By name.
pub(crate) const TABLE: &[Known] = &[
    known(
        "cleanup.policy",
        Kind::List,
        "delete",
        Only { value: "delete", why: "compaction is not offered by this version" },
    ),
    known(
        "compression.type",
        Kind::String,
        "producer",
        Only { value: "producer", why: "batches are kept as the producer compressed them" },
    ),
    known("delete.retention.ms", Kind::Long, "86400000", Number { min: 0, max: LONG }),
    known("file.delete.delay.ms", Kind::Long, "60000", Number { min: 0, max: LONG }),
    known("flush.messages", Kind::Long, "9223372036854775807", Number { min: 1, max: LONG }),
    known("flush.ms", Kind::Long, "9223372036854775807", Number { min: 0, max: LONG }),
    known("follower.replication.throttled.replicas", Kind::List, "", Anything),
    known("index.interval.bytes", Kind::Int, "4096", Number { min: 0, max: INT }),
    known("leader.replication.throttled.replicas", Kind::List, "", Anything),
    known("max.compaction.lag.ms", Kind::Long, "9223372036854775807", Number { min: 1, max: LONG }),
    known(MAX_MESSAGE_BYTES, Kind::Int, "", Number { min: 0, max: 100 << 20 }),
    known(TIMESTAMP_AFTER_MAX_MS, Kind::Long, "3600000", Number { min: 0, max: LONG }),
    known(TIMESTAMP_BEFORE_MAX_MS, Kind::Long, "9223372036854775807", Number { min: 0, max: LONG }),
    known(TIMESTAMP_TYPE, Kind::String, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"])),
    known("min.cleanable.dirty.ratio", Kind::Double, "0.5", Ratio),
    known("min.compaction.lag.ms", Kind::Long, "0", Number { min: 0, max: LONG }),
    known("min.insync.replicas", Kind::Int, "1", Number { min: 1, max: INT }),
    known("preallocate", Kind::Boolean, "false", Flag),
    known("retention.bytes", Kind::Long, "-1", Number { min: -1, max: LONG }),
    known("retention.ms", Kind::Long, "604800000", Number { min: -1, max: LONG }),
    known("segment.bytes", Kind::Int, "1073741824", Number { min: 1 << 20, max: INT }),
    known("segment.index.bytes", Kind::Int, "10485760", Number { min: 4, max: INT }),
    known("segment.jitter.ms", Kind::Long, "0", Number { min: 0, max: LONG }),
    known("segment.ms", Kind::Long, "604800000", Number { min: 1, max: LONG }),
    known("unclean.leader.election.enable", Kind::Boolean, "false", Flag),
];

const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const TIMESTAMP_AFTER_MAX_MS: &str = "message.timestamp.after.max.ms";
const TIMESTAMP_BEFORE_MAX_MS: &str = "message.timestamp.before.max.ms";
const TIMESTAMP_TYPE: &str = "message.timestamp.type";

/// A topic setting that is not known, or a value it does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadConfig {
    #[error("unknown topic config name: {name}")]
    Unknown { name: String },
    #[error("invalid value {value:?} for configuration {name}: {why}")]
    Value { name: String, value: String, why: String },
}

/// Checks one setting.
pub(crate) fn check(name: &str, value: &str) -> Result<(), BadConfig> {
    let Some(known) = TABLE.iter().find(|known| known.name == name) else {
        return Err(BadConfig::Unknown { name: name.into() });
    };
    let bad = |why: String| Err(BadConfig::Value { name: name.into(), value: value.into(), why });
    match known.takes {
        Number { min, max } => match value.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(()),
            _ => bad(format!("a number from {min} to {max} is wanted")),
        },
        Ratio => match value.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
            _ => bad("a number from 0 to 1 is wanted".into()),
        },
        Flag if value == "true" || value == "false" => Ok(()),
        Flag => bad("true or false is wanted".into()),
        OneOf(values) if values.contains(&value) => Ok(()),
        OneOf(values) => bad(format!("one of {} is wanted", values.join(", "))),
        Only { value: only, .. } if value == only => Ok(()),
        Only { value: only, why } => bad(format!("only {only} is supported: {why}")),
        Anything => Ok(()),
    }
}

impl Known {
    /// What holds where nobody set it.
    pub(crate) fn default(&self, settings: &BrokerSettings) -> String {
        match self.name {
            MAX_MESSAGE_BYTES => settings.message_max_bytes.to_string(),
            _ => self.default.into(),
        }
    }
}

/// What produce asks of a topic's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProduceLimits {
    pub max_message_bytes: usize,
    pub append_time: bool,
    pub before_max_ms: u64,
    pub after_max_ms: u64,
}

impl ProduceLimits {
    pub(crate) fn of(configs: &BTreeMap<String, String>, settings: &BrokerSettings) -> Self {
        // What is stored was checked; a value that does not parse counts as not set.
        let number = |name: &str| configs.get(name).and_then(|value| value.parse::<u64>().ok());
        Self {
            max_message_bytes: number(MAX_MESSAGE_BYTES)
                .map_or(settings.message_max_bytes as usize, |bytes| {
                    usize::try_from(bytes).unwrap_or(usize::MAX)
                }),
            append_time: configs.get(TIMESTAMP_TYPE).is_some_and(|it| it == "LogAppendTime"),
            before_max_ms: number(TIMESTAMP_BEFORE_MAX_MS).unwrap_or(u64::MAX),
            after_max_ms: number(TIMESTAMP_AFTER_MAX_MS).unwrap_or(3_600_000),
        }
    }
}

/// What the settings ask of the topic's logs.
pub fn topic_log(configs: &BTreeMap<String, String>) -> TopicLog {
    let set = |name: &str| configs.get(name).and_then(|value| value.parse::<i64>().ok());
    // Negative: without limit.
    let limit = |value: i64| u64::try_from(value).ok();
    let default = TopicLog::default();
    TopicLog {
        segment_bytes: set("segment.bytes").and_then(limit),
        segment_ms: set("segment.ms").and_then(limit).unwrap_or(default.segment_ms),
        retention_bytes: set("retention.bytes").map_or(default.retention_bytes, limit),
        retention_ms: set("retention.ms").map_or(default.retention_ms, limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_is_taken() {
        let settings = BrokerSettings::default();
        assert!(TABLE.is_sorted_by_key(|known| known.name));
        for known in TABLE {
            assert_eq!(check(known.name, &known.default(&settings)), Ok(()), "{}", known.name);
        }
    }

    #[test]
    fn what_is_not_there_is_refused_with_the_reason() {
        assert!(matches!(check("retention", "1"), Err(BadConfig::Unknown { .. })));
        for (name, value) in [
            ("compression.type", "lz4"),
            ("cleanup.policy", "compact"),
            ("retention.ms", "-2"),
            ("retention.ms", "1d"),
        ] {
            assert!(matches!(check(name, value), Err(BadConfig::Value { .. })), "{name}={value}");
        }
    }
}
