//! Groups land: what the source has, never past the mirror's high watermark, never while the group is active here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use carrick_proto::v1;
use carrick_types::{MirrorState, Offset, Partition, TopicId, TopicName};
use tracing::{debug, info, warn};

use super::{Link, RecordError};
use crate::envelope::{End, id, offset};
use crate::event::What;
use crate::ports::{Position, SinkError};

/// A client's commit within this long counts as a group at work.
const QUIET: Duration = Duration::from_secs(1);
/// Groups whose positions are remembered.
const GROUPS_MAX: usize = 100_000;

/// What a session knows of the source's groups.
#[derive(Default)]
pub(crate) struct Groups {
    /// By group; the source's topic ids.
    wanted: BTreeMap<String, BTreeMap<(TopicId, Partition), Position>>,
    /// With something that is not written yet.
    open: BTreeSet<String>,
    deleted: BTreeSet<String>,
    /// The first round of a session names every group there is.
    heard_all: bool,
    /// Steps back that the journal has and the sink does not, each from where to where.
    journalled: BTreeMap<(String, TopicName, Partition), (Offset, Offset)>,
}

/// A mirror as positions see it.
struct Target {
    topic: TopicId,
    name: TopicName,
    live: bool,
}

impl Groups {
    pub(crate) fn hear(&mut self, link: &Link, told: v1::Groups) -> Result<(), End> {
        for group in told.groups {
            if self.wanted.len() >= GROUPS_MAX && !self.wanted.contains_key(&group.id) {
                warn!(group = group.id, "too many groups: this one does not follow");
                continue;
            }
            let positions = self.wanted.entry(group.id.clone()).or_default();
            for it in group.positions {
                let topic = TopicId::from_bytes(id(&it.topic_id, "topic id")?);
                let position = Position { offset: offset(it.offset, "a position")?, metadata: it.metadata };
                positions.insert((topic, Partition(it.partition)), position);
            }
            self.open.insert(group.id.clone());
            self.deleted.remove(&group.id);
        }
        for group in told.deleted {
            self.wanted.remove(&group);
            self.open.remove(&group);
            self.deleted.insert(group);
        }
        if !told.more && !self.heard_all {
            self.heard_all = true;
            // Deleted while this link was down.
            let here = link.ports.sink.synced_groups(&names(link));
            self.deleted.extend(here.into_iter().filter(|group| !self.wanted.contains_key(group)));
        }
        Ok(())
    }

    /// Writes what can be written now.
    pub(crate) async fn land(&mut self, link: &Link) -> Result<(), RecordError> {
        let targets = targets(link);
        for group in self.open.clone() {
            if self.land_group(link, &targets, &group).await? {
                self.open.remove(&group);
            }
        }
        for group in self.deleted.clone() {
            match link.ports.sink.delete_group(&group, QUIET).await {
                Ok(()) => {
                    info!(group, "a group was deleted at the source, and here");
                    self.deleted.remove(&group);
                }
                Err(SinkError::Refused { message, .. }) => {
                    debug!(group, why = message, "a group that was deleted at the source stays here");
                    self.deleted.remove(&group);
                }
                Err(SinkError::Unavailable { message }) => {
                    debug!(group, why = message, "a group is deleted later")
                }
            }
        }
        Ok(())
    }

    /// True once all of it stands.
    async fn land_group(
        &mut self,
        link: &Link,
        targets: &BTreeMap<TopicId, Target>,
        group: &str,
    ) -> Result<bool, RecordError> {
        let sink = &link.ports.sink;
        let mut whole = true;
        let mut positions = Vec::new();
        let mut back = Vec::new();
        for ((source_topic, partition), wanted) in self.wanted.get(group).into_iter().flatten() {
            let Some(target) = targets.get(source_topic).filter(|it| it.live) else {
                continue;
            };
            let Some(mirror) = sink.partition(target.topic, *partition) else {
                whole = false;
                continue;
            };
            // A crash must not leave the group where the mirror does not begin.
            if !mirror.start_saved() {
                whole = false;
                continue;
            }
            let high = mirror.offsets().high_watermark.at();
            let clamped = wanted.offset.min(high);
            whole &= clamped == wanted.offset;
            let here = sink.group_offset(group, &target.name, *partition);
            if here == Some(clamped) {
                continue;
            }
            if let Some(from) = here.filter(|from| *from > clamped) {
                // The mirror may be behind what was committed here; only the source's own step back is followed.
                if wanted.offset >= from {
                    continue;
                }
                back.push((target.name.clone(), *partition, from, clamped));
            }
            let position = Position { offset: clamped, metadata: wanted.metadata.clone() };
            positions.push((target.name.clone(), *partition, position));
        }
        if positions.is_empty() {
            return Ok(whole);
        }
        // Journalled first: a crash in between must not leave a step back that nobody can explain.
        for (topic, partition, from, to) in back {
            let key = (group.to_string(), topic.clone(), partition);
            if self.journalled.get(&key) != Some(&(from, to)) {
                let what = What::GroupWentBack { group: group.into(), topic, partition, from, to };
                link.record("link", what).await?;
                self.journalled.insert(key, (from, to));
            }
        }
        match sink.write_group(group, positions, QUIET).await {
            Ok(()) => self.journalled.retain(|(of, ..), _| of != group),
            Err(SinkError::Refused { message, .. } | SinkError::Unavailable { message }) => {
                debug!(group, why = message, "a group's positions wait");
                return Ok(false);
            }
        }
        Ok(whole)
    }
}

fn targets(link: &Link) -> BTreeMap<TopicId, Target> {
    let view = link.view.lock();
    let targets = view.mirrors.values().map(|mirror| {
        let live = mirror.opening.is_none() && mirror.state != MirrorState::Failed;
        let target = Target { topic: mirror.definition.topic, name: mirror.definition.name.clone(), live };
        (mirror.definition.source_topic, target)
    });
    targets.collect()
}

/// Of the mirrors that are written by the link still.
fn names(link: &Link) -> Vec<TopicName> {
    let targets = targets(link);
    targets.into_values().filter(|it| it.live).map(|it| it.name).collect()
}
