//! DescribeConfigs: of topics and of the broker.

use carrick_wire::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym, ErrorCode, Text,
};

use crate::broker::{Broker, TopicKey};
use crate::topic_config::{Kind, TABLE};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Where a value comes from, as Kafka numbers it.
const SET_ON_TOPIC: i8 = 1;
const BROKER_FILE: i8 = 4;
const DEFAULT: i8 = 5;

impl Broker {
    pub(crate) fn describe_configs(&self, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
        let synonyms = request.include_synonyms;
        let results = request.resources.into_iter().map(|resource| match self.configs_of(&resource) {
            Ok(configs) => DescribeConfigsResult {
                configs: configs
                    .into_iter()
                    .filter(|it| {
                        resource.configuration_keys.as_ref().is_none_or(|keys| keys.contains(&it.name))
                    })
                    .map(|it| if synonyms { with_synonym(it) } else { it })
                    .collect(),
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
                ..Default::default()
            },
            Err((code, message)) => DescribeConfigsResult {
                error_code: code.code(),
                error_message: Some(message.into()),
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
                ..Default::default()
            },
        });
        DescribeConfigsResponse { results: results.collect(), ..Default::default() }
    }

    fn configs_of(
        &self,
        resource: &DescribeConfigsResource,
    ) -> Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, &'static str)> {
        match resource.resource_type {
            TOPIC => {
                let key = TopicKey::Name(resource.resource_name.clone());
                let topic = self.topic(&key).map_err(|code| (code, "there is no such topic"))?;
                let configs = TABLE.iter().map(|known| {
                    let (value, source) = match topic.configs.get(known.name) {
                        Some(value) => (value.clone(), SET_ON_TOPIC),
                        None => (known.default(&self.settings), DEFAULT),
                    };
                    config(known.name, value, source, known.kind, false)
                });
                Ok(configs.collect())
            }
            BROKER
                if resource.resource_name.is_empty()
                    || resource.resource_name == *self.broker_id.to_string() =>
            {
                let shown = self.settings.shown().into_iter();
                Ok(shown.map(|(name, value)| config(name, value, BROKER_FILE, Kind::String, true)).collect())
            }
            BROKER => {
                Err((ErrorCode::INVALID_REQUEST, "this cluster has one broker, and that is not its id"))
            }
            _ => Err((ErrorCode::INVALID_REQUEST, "topics and the broker have settings")),
        }
    }
}

fn config(
    name: &'static str,
    value: String,
    source: i8,
    kind: Kind,
    read_only: bool,
) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        name: name.into(),
        value: Some(Text::from(value)),
        read_only,
        config_source: source,
        config_type: kind as i8,
        ..Default::default()
    }
}

fn with_synonym(mut it: DescribeConfigsResourceResult) -> DescribeConfigsResourceResult {
    it.synonyms = vec![DescribeConfigsSynonym {
        name: it.name.clone(),
        value: it.value.clone(),
        source: it.config_source,
    }];
    it
}
