//! Which role each call wants.

use carrick_tls::Role;
use tonic::Status;

use super::Caller;

const SERVICE: &str = "/carrick.v1.Admin/";

/// Calls that look. Others that are known want an operator.
const LOOKS: [&str; 5] = ["ListLinks", "ListMirrors", "ListJournal", "DescribeNode", "Status"];
const CHANGES: [&str; 3] = ["CreateLink", "CreateMirrors", "Failover"];

/// The least role that may make this call; an unknown one wants the greatest.
fn wanted(path: &str) -> Role {
    match path.strip_prefix(SERVICE) {
        Some(call) if LOOKS.contains(&call) => Role::Viewer,
        Some(call) if CHANGES.contains(&call) => Role::Operator,
        _ => Role::Admin,
    }
}

pub(super) fn check(caller: &Caller, path: &str) -> Result<(), Status> {
    let Caller::Certificate { roles, .. } = caller else { return Ok(()) };
    let wanted = wanted(path);
    if roles.iter().any(|role| role.includes(wanted)) {
        return Ok(());
    }
    Err(Status::permission_denied(format!("the certificate of {caller} lacks {}", wanted.uri())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_wants_its_role() {
        let by = |roles: &[Role]| Caller::Certificate { names: vec!["ann".into()], roles: roles.to_vec() };
        let may = |roles: &[Role], call: &str| check(&by(roles), &format!("{SERVICE}{call}")).is_ok();
        assert!(may(&[Role::Viewer], "ListLinks") && !may(&[Role::Viewer], "CreateLink"));
        assert!(may(&[Role::Operator], "CreateMirrors") && may(&[Role::Operator], "DescribeNode"));
        assert!(!may(&[Role::Operator], "Unheard") && may(&[Role::Admin], "Unheard"));
        assert!(!may(&[Role::Link], "ListLinks") && !may(&[], "ListLinks"));
        assert!(check(&Caller::User { uid: 1 }, "/x/y").is_ok());
    }

    #[test]
    fn every_call_of_the_service_is_known() {
        let service = include_str!("../../../../proto/carrick/v1/admin.proto");
        let calls = service.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split_once('('));
        let mut known = 0;
        for (call, _) in calls {
            assert!(LOOKS.contains(&call) != CHANGES.contains(&call), "{call}");
            known += 1;
        }
        assert_eq!(known, LOOKS.len() + CHANGES.len());
    }
}
