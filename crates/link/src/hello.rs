//! The first message of each side: what cannot be exact is refused here, with a code.

use carrick_proto::PROTOCOL;
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{Hello, Refusal, Role};
use carrick_types::{ClusterId, LinkId, NodeId};

use crate::envelope::{End, decode, id, protocol};
use crate::ports::Inbox;

/// Connections of one session.
pub(crate) const CONNECTIONS_MAX: u32 = 16;
/// What a destination lets a source send before it is consumed: 100 ms at 1 Gbit/s twice, and some.
pub(crate) const CREDIT_BYTES: u64 = 32 << 20;
pub(crate) const SUBSCRIPTION_CREDIT_BYTES: u64 = 4 << 20;

/// What a peer said of itself, checked.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub link: LinkId,
    pub link_name: String,
    pub cluster: ClusterId,
    pub node: NodeId,
    pub session: [u8; 16],
    pub ordinal: u32,
    pub connections: u32,
    pub credit_bytes: usize,
    pub subscription_credit_bytes: usize,
}

/// Waits for the peer's Hello.
pub(crate) async fn receive(inbox: &mut Inbox) -> Result<Hello, End> {
    let first = inbox.recv().await.ok_or(End::Lost)?;
    match decode(first.bytes)? {
        Some(Body::Hello(hello)) => Ok(hello),
        _ => Err(protocol("its first message is no Hello")),
    }
}

/// Checks a Hello against what we are.
pub(crate) fn check(hello: &Hello, role: Role, own: ClusterId) -> Result<Peer, End> {
    if hello.protocol_min > PROTOCOL || hello.protocol_max < PROTOCOL {
        let message = format!(
            "the peer speaks versions {} to {} of the link's protocol, this node {PROTOCOL}: upgrade the older one",
            hello.protocol_min, hello.protocol_max
        );
        return Err(End::Local { code: "PROTOCOL_VERSION", message });
    }
    if hello.role() != role {
        return Err(protocol(format!("its role is {:?} where {role:?} is wanted", hello.role())));
    }
    let cluster = ClusterId::from_bytes(id(&hello.cluster_id, "cluster id")?);
    if cluster == own {
        let message = "both ends are the same cluster: name another peer".into();
        return Err(End::Local { code: "SAME_CLUSTER", message });
    }
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(Peer {
        link: LinkId::from_bytes(id(&hello.link_id, "link id")?),
        link_name: hello.link_name.chars().take(255).collect(),
        cluster,
        node: NodeId::from_bytes(id(&hello.node_id, "node id")?),
        session: id(&hello.session_id, "session id")?,
        ordinal: hello.ordinal,
        connections: hello.connections.clamp(1, CONNECTIONS_MAX),
        credit_bytes: bytes(hello.credit_bytes),
        subscription_credit_bytes: bytes(hello.subscription_credit_bytes),
    })
}

/// What ends a session before it began, as it is told to the peer.
pub(crate) fn refusal(end: &End) -> Refusal {
    match end {
        End::Local { code, message } => Refusal { code: (*code).into(), message: message.clone() },
        End::Replaced => Refusal { code: "REPLACED".into(), message: end.to_string() },
        other => Refusal { code: "PROTOCOL".into(), message: other.to_string() },
    }
}
