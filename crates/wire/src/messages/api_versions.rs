//! ApiVersions: what a node speaks.

use crate::Text;
use crate::table::api;

api! { ApiVersions, versions 0-4, flexible 3;
    request ApiVersionsRequest {
        client_software_name: Text, 3+;
        client_software_version: Text, 3+;
    }

    /// To a request of a version that is not spoken: version 0 of this, error 35, and the ranges.
    response ApiVersionsResponse {
        error_code: i16, 0+;
        api_keys: Vec<ApiVersion>, 0+;
        throttle_time_ms: i32, 1+;
        supported_features: Vec<SupportedFeatureKey>, 3+, tag 0;
        /// −1 for unknown.
        finalized_features_epoch: i64 = -1, 3+, tag 1;
        finalized_features: Vec<FinalizedFeatureKey>, 3+, tag 2;
        zk_migration_ready: bool, 3+, tag 3;
    }

    structure ApiVersion {
        api_key: i16, 0+;
        min_version: i16, 0+;
        max_version: i16, 0+;
    }

    structure SupportedFeatureKey {
        name: Text, 3+;
        min_version: i16, 3+;
        max_version: i16, 3+;
    }

    structure FinalizedFeatureKey {
        name: Text, 3+;
        max_version_level: i16, 3+;
        min_version_level: i16, 3+;
    }
}
