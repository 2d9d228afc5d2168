//! `carrick link create`

use carrick_proto::v1::CreateLinkRequest;
use clap::Args;
use serde_json::json;

use crate::Global;
use crate::failure::Failure;
use crate::mutation::Mutation;
use crate::node::{ask, refused_mutation};

#[derive(Args)]
pub struct Arguments {
    /// The link's name.
    name: String,
    /// The other node's link port.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    peer: String,
    /// TCP connections, 1 to 16; the node chooses if it is not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    connections: Option<u32>,
    /// Consumer groups whose positions follow: one pattern of `*` and `?`; all if it is not given.
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    groups: String,
    #[command(flatten)]
    mutation: Mutation,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { name, peer, connections, groups, mutation } = arguments;
    let begun = mutation.begin();
    let request = CreateLinkRequest {
        mutation: begun.message(),
        name: name.clone(),
        peer: peer.clone(),
        connections: connections.unwrap_or(0),
        groups: groups.clone(),
    };
    let asked = ask(global, async |mut client| client.create_link(request).await)?;
    let answer = asked.map_err(|e| {
        let mut again = format!("carrick link create {name} --peer {peer}");
        if let Some(connections) = connections {
            again.push_str(&format!(" --connections {connections}"));
        }
        refused_mutation(&e, begun, &again, "carrick link list")
    })?;
    global.output.show(
        || answer.plan.iter().map(|line| format!("{}\n", line.replace(char::is_control, "?"))).collect(),
        || {
            json!({
                "request_id": begun.id.to_string(),
                "plan": answer.plan,
                "applied": answer.applied,
                "undo": answer.undo,
                "link": answer.link.as_ref().map(super::to_json),
            })
        },
    )?;
    begun.end(answer.applied, &answer.undo);
    Ok(())
}

fn host_and_port(text: &str) -> Result<String, String> {
    let good = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && (!host.contains(':') || host.starts_with('['))
            && port.parse::<u16>().is_ok_and(|it| it > 0)
    });
    if good { Ok(text.into()) } else { Err("a host and a port are wanted, such as west.example:9590".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_host_and_a_port() {
        for good in ["west.example:9590", "127.0.0.1:1", "[::1]:9590"] {
            assert!(host_and_port(good).is_ok(), "{good}");
        }
        for bad in ["west", ":9590", "west:", "west:0", "west:70000", "::1:9590", ""] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }
}
