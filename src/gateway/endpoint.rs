//! Where a vendor listens.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, Scheme, Uri};

/// An `https://host[:port]`, without a path.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    authority: Authority,
    port: u16,
}

/// Why a text is no endpoint. The caller says which key it stood in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL at all.
    #[error("is no URL; write https://HOST or https://HOST:PORT")]
    NotAUrl,
    /// Vendors are spoken to over TLS only.
    #[error("must begin with https://")]
    NotHttps,
    /// The paths belong to the vendor's protocol.
    #[error("must not have a path, a query, or a user; write https://HOST or https://HOST:PORT")]
    HasPath,
}

impl Endpoint {
    /// The host: a name, an IPv4 address, or an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.authority.host();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The TCP port; 443 unless given.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What goes into `:authority`.
    pub(super) const fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let uri = text.parse::<Uri>().map_err(|_| EndpointError::NotAUrl)?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(EndpointError::NotHttps);
        }
        let authority = uri.authority().ok_or(EndpointError::NotAUrl)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if path != "/" || authority.as_str().contains('@') {
            return Err(EndpointError::HasPath);
        }
        Ok(Self { authority: authority.clone(), port: authority.port_u16().unwrap_or(443) })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_https_without_a_path() {
        type Row = (&'static str, Result<(&'static str, u16), EndpointError>);
        let rows: [Row; 9] = [
            ("https://api.push.apple.com", Ok(("api.push.apple.com", 443))),
            ("https://127.0.0.1:8443", Ok(("127.0.0.1", 8443))),
            ("https://127.0.0.1:8443/", Ok(("127.0.0.1", 8443))),
            ("https://[::1]:8443", Ok(("::1", 8443))),
            ("http://127.0.0.1", Err(EndpointError::NotHttps)),
            ("api.push.apple.com", Err(EndpointError::NotHttps)),
            ("https://host/path", Err(EndpointError::HasPath)),
            ("https://user@host", Err(EndpointError::HasPath)),
            ("https://", Err(EndpointError::NotAUrl)),
        ];
        for (text, expected) in rows {
            let endpoint = text.parse::<Endpoint>();
            assert_eq!(endpoint.as_ref().map(|e| (e.host(), e.port())), expected.as_ref().map(|&r| r), "{text}");
        }
    }
}
