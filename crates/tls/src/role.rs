//! What the bearer of a certificate may do: a URI among the certificate's subject alternative names.

use std::fmt;
use std::str::FromStr;

/// What a role's URI begins with.
pub const ROLE_URI: &str = "carrick://role/";

/// A role. Those of operators include the lesser ones; `link` is a node's and includes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads what is mirrored, over the link port.
    Link,
    /// Looks.
    Viewer,
    /// Looks, and changes links and mirrors.
    Operator,
    /// Everything.
    Admin,
}

/// Text that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a role: there are viewer, operator, admin and link")]
pub struct BadRole {
    pub text: String,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Link, Self::Viewer, Self::Operator, Self::Admin];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    pub fn uri(self) -> String {
        format!("{ROLE_URI}{}", self.name())
    }

    /// None for a URI that means something else.
    pub fn from_uri(uri: &str) -> Option<Self> {
        uri.strip_prefix(ROLE_URI)?.parse().ok()
    }

    /// Whether who has this role may do what `wanted` may.
    pub fn includes(self, wanted: Self) -> bool {
        self == wanted || (self != Self::Link && wanted != Self::Link && self > wanted)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        let bad = || BadRole { text: text.chars().take(64).collect() };
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_reads_back_its_uri() {
        for role in Role::ALL {
            assert_eq!(Role::from_uri(&role.uri()), Some(role));
        }
        for other in
            ["carrick://role/", "carrick://role/root", "CARRICK://role/link", "carrick://role/link/x", "link"]
        {
            assert_eq!(Role::from_uri(other), None, "{other}");
        }
    }

    #[test]
    fn operators_roles_include_the_lesser_ones_and_never_link() {
        assert!(Role::Admin.includes(Role::Viewer) && Role::Admin.includes(Role::Operator));
        assert!(Role::Operator.includes(Role::Viewer) && !Role::Operator.includes(Role::Admin));
        for role in Role::ALL {
            assert!(role.includes(role));
            assert_eq!(role.includes(Role::Link), role == Role::Link);
            assert_eq!(Role::Link.includes(role), role == Role::Link);
        }
    }
}
