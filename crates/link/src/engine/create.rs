//! `link create` and `mirror create`: a plan, and its execution.

use std::sync::Arc;
use std::time::Duration;

use carrick_proto::v1::{Description, Topic};
use carrick_sys::id_bytes;
use carrick_types::limits::PARTITIONS_PER_TOPIC_MAX;
use carrick_types::{LeaderEpoch, LineageId, LinkId, TopicId, TopicName};
use tokio::sync::oneshot;

use super::{Engine, EngineError};
use crate::destination::{Command, Link};
use crate::event::{Event, LinkView, MirrorDefinition, What};
use crate::glob;
use crate::hello::CONNECTIONS_MAX;
use crate::status::{LinkState, LinkStatus};

/// For the source's answer.
const DESCRIBE_MAX: Duration = Duration::from_secs(10);
const CONNECTIONS: u32 = 4;

/// Of every call that changes something.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// The same id again changes nothing and is answered as before.
    pub request: [u8; 16],
    pub dry_run: bool,
    /// Who asks, for the journal.
    pub who: String,
}

#[derive(Clone, Debug)]
pub struct CreateLink {
    pub name: String,
    pub peer: String,
    /// 0 stands for the default.
    pub connections: u32,
    /// Which groups' positions follow: a glob; empty stands for all.
    pub groups: String,
}

#[derive(Clone, Debug)]
pub struct CreatedLink {
    pub link: Option<LinkStatus>,
    pub plan: Vec<String>,
    pub applied: bool,
}

#[derive(Clone, Debug)]
pub struct CreateMirrors {
    pub link: String,
    /// Names, or one glob.
    pub topics: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct CreatedMirrors {
    pub mirrors: Vec<MirrorOutcome>,
    pub applied: bool,
}

/// What became, or would become, of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorOutcome {
    pub topic: String,
    pub partitions: u32,
    /// `CREATE`, `EXISTS`, or a refusal's code.
    pub outcome: &'static str,
    pub message: String,
}

impl Engine {
    pub async fn create_link(
        &self,
        mutation: &Mutation,
        asked: CreateLink,
    ) -> Result<CreatedLink, EngineError> {
        let _turn = self.changing.lock().await;
        let connections = if asked.connections == 0 { CONNECTIONS } else { asked.connections };
        check_link(&asked, connections)?;
        if let Some(link) = self.link(&asked.name) {
            // The same request again, or the same wish.
            let (repeat, same) = {
                let view = link.view.lock();
                (view.request(&mutation.request).is_some(), view.peer == asked.peer)
            };
            if !repeat && !same {
                return Err(EngineError::LinkExists { name: asked.name });
            }
            let plan = vec![format!("link {} stands already", asked.name)];
            return Ok(CreatedLink { link: Some(self.status_of(&link)), plan, applied: repeat });
        }
        let plan = vec![format!("make link {} to {} over {connections} connections", asked.name, asked.peer)];
        if mutation.dry_run {
            return Ok(CreatedLink { link: None, plan, applied: false });
        }
        let id = LinkId::from_bytes(id_bytes(&*self.ports.sys.entropy));
        let what = What::LinkCreated {
            request: mutation.request,
            name: asked.name,
            peer: asked.peer,
            connections,
            groups: if asked.groups.is_empty() { "*".into() } else { asked.groups },
        };
        let event = Event { at: self.ports.sys.clock.wall(), who: mutation.who.clone(), what };
        self.ports.ledger.append(id, 0, event.encode()?.into()).await?;
        let mut view = LinkView::empty(id);
        view.apply(&event);
        let link = self.start(view);
        Ok(CreatedLink { link: Some(self.status_of(&link)), plan, applied: true })
    }

    /// Resolves the names now, once; makes all that can be made, or nothing where a name that was given cannot.
    pub async fn create_mirrors(
        &self,
        mutation: &Mutation,
        asked: CreateMirrors,
    ) -> Result<CreatedMirrors, EngineError> {
        let _turn = self.changing.lock().await;
        let link = self.link(&asked.link).ok_or(EngineError::NoLink { name: asked.link.clone() })?;
        if let Some(made) = repeated(&link, &mutation.request) {
            return Ok(CreatedMirrors { mirrors: made, applied: true });
        }
        let globs = asked.topics.iter().filter(|it| glob::is_glob(it)).count();
        if asked.topics.is_empty() || globs > 1 || (globs == 1 && asked.topics.len() > 1) {
            return Err(EngineError::Invalid { what: "topics are given by name, or by one glob".into() });
        }
        let description = describe(&link, &asked, globs == 1).await?;
        let (mirrors, outcomes) = self.plan_mirrors(&link, description);
        let refused: Vec<&MirrorOutcome> =
            outcomes.iter().filter(|it| !matches!(it.outcome, "CREATE" | "EXISTS")).collect();
        if mutation.dry_run {
            return Ok(CreatedMirrors { mirrors: outcomes, applied: false });
        }
        if !refused.is_empty() && (globs == 0 || mirrors.is_empty()) {
            let refusals =
                refused.iter().map(|it| format!("{}: {} ({})", it.topic, it.message, it.outcome)).collect();
            return Err(EngineError::NothingToMirror { refusals });
        }
        if !mirrors.is_empty() {
            let what = What::MirrorsCreated { request: mutation.request, mirrors: mirrors.clone() };
            link.record(&mutation.who, what).await?;
        }
        // Decided: a restart finishes what fails from here on.
        let view = link.view.lock().clone();
        for mirror in &mirrors {
            let made = self.ports.sink.create(view.mirror_topic(mirror)).await;
            made.map_err(|source| EngineError::Sink { topic: mirror.name.to_string(), source })?;
        }
        link.poke(Command::Refresh);
        Ok(CreatedMirrors { mirrors: outcomes, applied: true })
    }

    fn plan_mirrors(
        &self,
        link: &Link,
        description: Description,
    ) -> (Vec<MirrorDefinition>, Vec<MirrorOutcome>) {
        let missing = description.missing.into_iter().map(|topic| MirrorOutcome {
            topic,
            partitions: 0,
            outcome: "NO_SUCH_TOPIC",
            message: "the source has no such topic".into(),
        });
        let mut outcomes: Vec<MirrorOutcome> = missing.collect();
        let mut mirrors: Vec<MirrorDefinition> = Vec::new();
        for topic in description.topics {
            let planned = self.plan_mirror(link, &topic);
            let (outcome, message) = match planned {
                Ok(mirror) if mirrors.iter().any(|it| it.name == mirror.name) => continue,
                Ok(mirror) => {
                    mirrors.push(mirror);
                    ("CREATE", String::new())
                }
                Err(refusal) => refusal,
            };
            outcomes.push(MirrorOutcome {
                topic: topic.name,
                partitions: topic.partitions,
                outcome,
                message,
            });
        }
        (mirrors, outcomes)
    }

    fn plan_mirror(&self, link: &Link, topic: &Topic) -> Result<MirrorDefinition, (&'static str, String)> {
        let name: TopicName = topic.name.parse().map_err(|e| ("INVALID_NAME", format!("{e}")))?;
        let id = |bytes: &[u8]| {
            <[u8; 16]>::try_from(bytes).map_err(|_| ("PROTOCOL", "an id is not of 16 bytes".to_string()))
        };
        let source_topic = TopicId::from_bytes(id(&topic.topic_id)?);
        let lineage = LineageId::from_bytes(id(&topic.lineage_id)?);
        let epoch =
            LeaderEpoch::new(topic.leader_epoch).ok_or(("PROTOCOL", "a negative epoch".to_string()))?;
        if !(1..=PARTITIONS_PER_TOPIC_MAX).contains(&topic.partitions) {
            return Err(("INVALID_PARTITIONS", format!("{} partitions", topic.partitions)));
        }
        let known = link.view.lock().mirrors.values().any(|it| it.definition.source_topic == source_topic);
        if known {
            return Err(("EXISTS", "it is mirrored already".into()));
        }
        // Before the name, which a loop always has too: nobody should be told to delete the source of all.
        if let Some(other) = self.ports.sink.of_lineage(lineage) {
            return Err((
                "LINEAGE_LOOP",
                format!("its records come from topic {other} here, or go there too"),
            ));
        }
        if self.ports.sink.named(name.as_str()).is_some() {
            return Err(("NAME_TAKEN", "a topic of that name stands here: delete or rename it".into()));
        }
        Ok(MirrorDefinition {
            topic: TopicId::from_bytes(id_bytes(&*self.ports.sys.entropy)),
            name,
            source_topic,
            lineage,
            partitions: topic.partitions,
            configs: topic.configs.clone(),
            epoch,
        })
    }
}

fn check_link(asked: &CreateLink, connections: u32) -> Result<(), EngineError> {
    let invalid = |what: String| Err(EngineError::Invalid { what });
    if asked.name.parse::<TopicName>().is_err() {
        return invalid(format!(
            "{:?} is no link name: letters, digits, '.', '_' and '-', at most 249",
            asked.name
        ));
    }
    let port = asked
        .peer
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none_or(|port| port == 0) {
        return invalid(format!("{:?} is no peer: host:port of its link listener is wanted", asked.peer));
    }
    if connections > CONNECTIONS_MAX {
        return invalid(format!("a link has 1 to {CONNECTIONS_MAX} connections"));
    }
    Ok(())
}

/// The answer of a request that was carried out before.
fn repeated(link: &Arc<Link>, request: &[u8; 16]) -> Option<Vec<MirrorOutcome>> {
    let view = link.view.lock();
    let made = view.request(request)?;
    let outcomes = made.iter().filter_map(|topic| view.mirrors.get(topic)).map(|mirror| MirrorOutcome {
        topic: mirror.definition.name.to_string(),
        partitions: mirror.definition.partitions,
        outcome: "CREATE",
        message: String::new(),
    });
    Some(outcomes.collect())
}

async fn describe(
    link: &Arc<Link>,
    asked: &CreateMirrors,
    by_glob: bool,
) -> Result<Description, EngineError> {
    let not_connected = |reason: String| EngineError::NotConnected { name: asked.link.clone(), reason };
    let (state, reason) = {
        let observed = link.observed.lock();
        (observed.state, observed.reason.clone())
    };
    if state != LinkState::Connected {
        return Err(not_connected(if reason.is_empty() { "connecting".into() } else { reason }));
    }
    let (answer, answered) = oneshot::channel();
    let (names, glob) = match by_glob {
        true => (Vec::new(), asked.topics.first().cloned().unwrap_or_default()),
        false => (asked.topics.clone(), String::new()),
    };
    let clock = Arc::clone(&link.ports.sys.clock);
    let asking = async {
        link.command(Command::Describe { names, glob, answer }).await;
        answered.await
    };
    match clock.timeout(DESCRIBE_MAX, asking).await {
        Ok(Ok(description)) => Ok(description),
        Ok(Err(_)) => Err(not_connected("the session ended meanwhile".into())),
        Err(_) => Err(not_connected("the peer did not answer in 10 s".into())),
    }
}
