//! ApiVersions: what is served, in which versions.

use carrick_wire::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse, ErrorCode};

use crate::broker::{Ask, Broker};

impl Broker {
    /// The ranges that are served.
    pub fn api_ranges() -> Vec<ApiVersion> {
        let served = Self::SERVED.iter().map(|key| key.range().advertised());
        served
            .map(|it| ApiVersion { api_key: it.key.code(), min_version: it.min, max_version: it.max })
            .collect()
    }

    pub(crate) fn api_versions(&self, ask: &Ask, request: &ApiVersionsRequest) -> ApiVersionsResponse {
        let named = |name: &str| {
            let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            ends(name.chars().next()) && ends(name.chars().last()) && name.chars().all(inner)
        };
        // KIP-511.
        if ask.version >= 3
            && !(named(&request.client_software_name) && named(&request.client_software_version))
        {
            return ApiVersionsResponse {
                error_code: ErrorCode::INVALID_REQUEST.code(),
                ..Default::default()
            };
        }
        ApiVersionsResponse { api_keys: Self::api_ranges(), ..Default::default() }
    }
}
