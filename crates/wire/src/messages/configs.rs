//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use crate::Text;
use crate::table::api;

api! { DescribeConfigs, versions 1-4, flexible 4;
    request DescribeConfigsRequest {
        resources: Vec<DescribeConfigsResource>, 0+;
        include_synonyms: bool, 1+;
        include_documentation: bool, 3+;
    }

    structure DescribeConfigsResource {
        /// 2: topic; 4: broker; 8: broker logger; 16: client metrics; 32: group.
        resource_type: i8, 0+;
        resource_name: Text, 0+;
        /// Null for all.
        configuration_keys: Option<Vec<Text>>, 0+;
    }

    response DescribeConfigsResponse {
        throttle_time_ms: i32, 0+;
        results: Vec<DescribeConfigsResult>, 0+;
    }

    structure DescribeConfigsResult {
        error_code: i16, 0+;
        error_message: Option<Text>, 0+;
        resource_type: i8, 0+;
        resource_name: Text, 0+;
        configs: Vec<DescribeConfigsResourceResult>, 0+;
    }

    structure DescribeConfigsResourceResult {
        name: Text, 0+;
        value: Option<Text>, 0+;
        read_only: bool, 0+;
        config_source: i8 = -1, 1+;
        is_sensitive: bool, 0+;
        synonyms: Vec<DescribeConfigsSynonym>, 1+;
        config_type: i8, 3+;
        documentation: Option<Text>, 3+;
    }

    structure DescribeConfigsSynonym {
        name: Text, 1+;
        value: Option<Text>, 1+;
        source: i8, 1+;
    }
}

api! { AlterConfigs, versions 0-2, flexible 2;
    /// Replaces all configs of a resource: what is not named falls back to its default.
    request AlterConfigsRequest {
        resources: Vec<AlterConfigsResource>, 0+;
        validate_only: bool, 0+;
    }

    structure AlterConfigsResource {
        resource_type: i8, 0+;
        resource_name: Text, 0+;
        configs: Vec<AlterableConfig>, 0+;
    }

    structure AlterableConfig {
        name: Text, 0+;
        value: Option<Text>, 0+;
    }

    response AlterConfigsResponse {
        throttle_time_ms: i32, 0+;
        responses: Vec<AlterConfigsResourceResponse>, 0+;
    }

    structure AlterConfigsResourceResponse {
        error_code: i16, 0+;
        error_message: Option<Text>, 0+;
        resource_type: i8, 0+;
        resource_name: Text, 0+;
    }
}

api! { IncrementalAlterConfigs, versions 0-1, flexible 1;
    request IncrementalAlterConfigsRequest {
        resources: Vec<IncrementalAlterConfigsResource>, 0+;
        validate_only: bool, 0+;
    }

    structure IncrementalAlterConfigsResource {
        resource_type: i8, 0+;
        resource_name: Text, 0+;
        configs: Vec<IncrementalAlterableConfig>, 0+;
    }

    structure IncrementalAlterableConfig {
        name: Text, 0+;
        /// 0: set; 1: delete; 2: append; 3: subtract.
        config_operation: i8, 0+;
        value: Option<Text>, 0+;
    }

    response IncrementalAlterConfigsResponse {
        throttle_time_ms: i32, 0+;
        responses: Vec<IncrementalAlterConfigsResourceResponse>, 0+;
    }

    structure IncrementalAlterConfigsResourceResponse {
        error_code: i16, 0+;
        error_message: Option<Text>, 0+;
        resource_type: i8, 0+;
        resource_name: Text, 0+;
    }
}
