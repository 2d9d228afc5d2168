//! The boot rule of a topic with a link: after a start it takes no writes until the peer was heard, or for 10 s.
//!
//! The peer may have opened the topic while this site was away. What is then written here alone is salvaged later; to those
//! to whom two histories are worse than none the rule can be `closed`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use carrick_catalog::{Catalog, TopicRecord};
use carrick_log::{LogStore, Role};
use carrick_sys::Sys;
use carrick_types::{LinkId, TopicId};
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::sink::role_of;

/// For the peer's first word.
const WORD_MAX: Duration = Duration::from_secs(10);

/// What happens to a linked topic whose peer is not heard after a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBoot {
    /// It takes writes: a link must not take its source down.
    #[default]
    Open,
    /// It takes none until the peer was heard.
    Closed,
}

/// Topics that wait for the word of their links' peers.
#[derive(Default)]
pub(crate) struct Waiting {
    topics: Mutex<BTreeSet<TopicId>>,
    heard: Mutex<BTreeSet<LinkId>>,
}

impl Waiting {
    /// The role that a topic is opened with.
    pub(crate) fn role(&self, topic: &TopicRecord) -> Role {
        match role_of(topic) {
            Role::Writable { .. } if !topic.links.is_empty() => {
                self.topics.lock().insert(topic.id);
                Role::Closed
            }
            role => role,
        }
    }

    /// A link's peer has said what it writes itself: the topics that waited for it alone are opened.
    pub(crate) fn heard(&self, link: LinkId, catalog: &Catalog, logs: &LogStore) {
        self.heard.lock().insert(link);
        let waiting: Vec<TopicId> = self.topics.lock().iter().copied().collect();
        for topic in waiting.into_iter().filter_map(|id| catalog.topic_by_id(id)) {
            let all = topic.links.iter().all(|link| self.heard.lock().contains(link));
            if all {
                self.open(&topic, logs);
            }
        }
    }

    /// As the catalog has it now: a topic that was superseded meanwhile stays so.
    fn open(&self, topic: &TopicRecord, logs: &LogStore) {
        if self.topics.lock().remove(&topic.id) {
            logs.topic(topic.id).iter().for_each(|partition| partition.set_role(role_of(topic)));
        }
    }

    /// Ends the wait after its time.
    pub(crate) async fn run_out(
        self: Arc<Self>,
        sys: Sys,
        catalog: Arc<Catalog>,
        logs: Arc<LogStore>,
        on_boot: OnBoot,
    ) {
        let names = |topics: &BTreeSet<TopicId>| {
            topics.iter().filter_map(|id| catalog.topic_by_id(*id)).collect::<Vec<_>>()
        };
        let count = self.topics.lock().len();
        if count == 0 {
            return;
        }
        info!(
            topics = count,
            "topics with a link wait up to {}s for word from their peers",
            WORD_MAX.as_secs()
        );
        sys.clock.sleep(WORD_MAX).await;
        let left = names(&self.topics.lock());
        for topic in left {
            match on_boot {
                OnBoot::Open => {
                    warn!(topic = %topic.name, "no word from the peer: the topic takes writes; if the peer was failed over to, two histories begin here");
                    self.open(&topic, &logs);
                }
                OnBoot::Closed => {
                    warn!(topic = %topic.name, "no word from the peer: the topic takes no writes until there is (on_boot_without_peer = closed)");
                }
            }
        }
    }
}
