//! Headers and whole frames. Every decoder here takes a frame without its length prefix; every encoder gives one with it.

use bytes::{Buf, Bytes};

use crate::Text;
use crate::api::{ApiKey, Request, Response};
use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::failure::{DecodeError, EncodeError, HeaderError, RequestError};
use crate::frame::Frame;
use crate::wire::{Layout, Wire};

/// What precedes a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<Text>,
}

/// Reads a request's header off the front of `frame` and leaves the body in it. After an error `frame` is as it was.
pub fn decode_request_header(frame: &mut Bytes) -> Result<RequestHeader, HeaderError> {
    let mut d = Decoder::new(frame.clone());
    let header = read_request_header(&mut d)?;
    frame.advance(d.position().min(frame.len()));
    Ok(header)
}

/// Reads a request; bytes after its body are refused.
pub fn decode_request(frame: Bytes) -> Result<(RequestHeader, Request), RequestError> {
    let mut d = Decoder::new(frame);
    let header = read_request_header(&mut d)?;
    let RequestHeader { api_key, api_version, correlation_id, .. } = header;
    Request::read(api_key, api_version, &mut d)
        .map(|request| (header, request))
        .map_err(|error| RequestError::Body { api_key, api_version, correlation_id, error })
}

fn read_request_header(d: &mut Decoder) -> Result<RequestHeader, HeaderError> {
    d.begin("RequestHeader", CLASSIC);
    let code = i16::read(d)?;
    let api_version = i16::read(d)?;
    let correlation_id = i32::read(d)?;
    // The client id has kept its 2-byte length in every header version, so it is readable whatever the key and version;
    // where those are refused, it may be missing.
    let client_id = d.text();
    let Ok(api_key) = ApiKey::try_from(code) else {
        let client_id = client_id.unwrap_or_default();
        return Err(HeaderError::UnknownKey { api_key: code, api_version, correlation_id, client_id });
    };
    if !api_key.range().contains(api_version) {
        let client_id = client_id.unwrap_or_default();
        return Err(HeaderError::UnsupportedVersion { api_key, api_version, correlation_id, client_id });
    }
    let client_id = client_id?;
    if api_key.is_flexible(api_version) {
        d.tags(|_, _| Ok(false))?;
    }
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
}

/// The frame of an answer.
pub fn encode_response(correlation_id: i32, version: i16, response: &Response) -> Result<Frame, EncodeError> {
    let mut e = Encoder::new();
    correlation_id.write(&mut e)?;
    if has_flexible_response_header(response.key(), version) {
        e.raw(&[0]);
    }
    response.write(version, &mut e)?;
    e.finish()
}

/// The frame of a request, whose key must be the header's.
pub fn encode_request(header: &RequestHeader, request: &Request) -> Result<Frame, EncodeError> {
    if header.api_key != request.key() {
        return Err(EncodeError::Mismatch { header: header.api_key, body: request.key() });
    }
    let mut e = Encoder::new();
    e.begin("RequestHeader", CLASSIC);
    header.api_key.code().write(&mut e)?;
    header.api_version.write(&mut e)?;
    header.correlation_id.write(&mut e)?;
    header.client_id.write(&mut e)?;
    if header.api_key.is_flexible(header.api_version) {
        e.raw(&[0]);
    }
    request.write(header.api_version, &mut e)?;
    e.finish()
}

/// Reads the answer to a request of this key and version: its correlation id and body. Bytes after the body are refused.
///
/// A broker that does not know an ApiVersions version answers in version 0, whatever was asked; that is seen by its error
/// and read as such.
pub fn decode_response(key: ApiKey, version: i16, frame: Bytes) -> Result<(i32, Response), DecodeError> {
    let unsupported = crate::ErrorCode::UNSUPPORTED_VERSION.code().to_be_bytes();
    let fallback = key == ApiKey::ApiVersions && frame.get(4..6) == Some(&unsupported);
    let version = if fallback { 0 } else { version };
    let mut d = Decoder::new(frame);
    d.begin("ResponseHeader", CLASSIC);
    let correlation_id = i32::read(&mut d)?;
    if has_flexible_response_header(key, version) {
        d.tags(|_, _| Ok(false))?;
    }
    let response = Response::read(key, version, &mut d)?;
    d.finish()?;
    Ok((correlation_id, response))
}

const CLASSIC: Layout = Layout { version: 0, flexible: false };

/// An answer to ApiVersions has the oldest header always, so that a client of any age finds its error.
fn has_flexible_response_header(key: ApiKey, version: i16) -> bool {
    key != ApiKey::ApiVersions && key.is_flexible(version)
}

#[cfg(test)]
mod tests;
