//! The positions of groups on their way to a destination: all of them first, then what changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{Group, GroupPosition, Groups};
use carrick_types::LinkId;
use tracing::warn;

use super::Shared;
use crate::envelope::{End, send};
use crate::glob;
use crate::ports::{Source, SourceGroup};

/// Between two looks at what was committed.
const EVERY: Duration = Duration::from_millis(500);
/// Positions of one message.
const POSITIONS_MAX: usize = 2_000;

/// Runs until the session ends.
pub(crate) async fn follow(shared: Arc<Shared>, source: Arc<dyn Source>, link: LinkId, pattern: String) {
    let mut known: BTreeMap<String, SourceGroup> = BTreeMap::new();
    let mut first = true;
    loop {
        match source.groups(link).await {
            Ok(groups) => {
                let groups = groups.into_iter().filter(|group| glob::matches(&pattern, &group.id));
                let now: BTreeMap<String, SourceGroup> =
                    groups.map(|group| (group.id.clone(), group)).collect();
                let gone = |(id, group): (&String, &SourceGroup)| {
                    (group.young && !now.contains_key(id)).then(|| id.clone())
                };
                let deleted: Vec<String> = known.iter().filter_map(gone).collect();
                let changed = now.values().filter_map(|group| changed(known.get(&group.id), group));
                let changed: Vec<Group> = changed.collect();
                if (first || !changed.is_empty() || !deleted.is_empty())
                    && tell(&shared, changed, deleted).await.is_err()
                {
                    return;
                }
                known = now;
                first = false;
            }
            Err(failed) => warn!(error = %failed, "the positions of groups could not be read; trying again"),
        }
        shared.sys.clock.sleep(EVERY).await;
    }
}

/// A group's positions that are not as they were.
fn changed(was: Option<&SourceGroup>, group: &SourceGroup) -> Option<Group> {
    let positions = group.positions.iter().filter(|(at, position)| {
        was.and_then(|was| was.positions.get(at)).is_none_or(|before| before != *position)
    });
    let positions: Vec<GroupPosition> = positions
        .map(|((topic, partition), position)| GroupPosition {
            topic_id: Bytes::copy_from_slice(&topic.bytes()),
            partition: partition.0,
            offset: position.offset.get(),
            metadata: position.metadata.clone(),
        })
        .collect();
    if positions.is_empty() && was.is_some() { None } else { Some(Group { id: group.id.clone(), positions }) }
}

async fn tell(shared: &Shared, changed: Vec<Group>, deleted: Vec<String>) -> Result<(), End> {
    let control = shared.control().ok_or(End::Lost)?;
    let mut groups = Vec::new();
    let mut positions = 0;
    for group in changed {
        positions += group.positions.len() + 1;
        groups.push(group);
        if positions >= POSITIONS_MAX {
            let some = Groups { groups: std::mem::take(&mut groups), deleted: Vec::new(), more: true };
            send(control, Body::Groups(some)).await?;
            positions = 0;
        }
    }
    send(control, Body::Groups(Groups { groups, deleted, more: false })).await
}
