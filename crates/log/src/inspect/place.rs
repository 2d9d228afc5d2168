//! Where segment files lie: a path names one of them, a partition, a topic, or a whole data directory.

use std::io;
use std::path::{Path, PathBuf};

use carrick_sys::Disk;
use carrick_types::{ClusterId, Partition, TopicId};

use crate::segment::base_of;

/// Extensions of the files of a partition.
pub(super) const SEGMENT: &str = "seg";
pub(super) const SIDECAR: &str = "idx";
pub(super) const SET_ASIDE: &str = "cut";

const FORMAT_BYTES_MAX: usize = 4096;

/// A partition's directory, or one file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub dir: PathBuf,
    /// Alone.
    pub file: Option<String>,
}

/// What a path turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The data directory, if that is what it is.
    pub data: Option<PathBuf>,
    pub places: Vec<Place>,
}

impl Place {
    /// Its segment files in the order of their offsets; the one file, whatever it is.
    pub fn segments(&self, disk: &dyn Disk) -> io::Result<Vec<PathBuf>> {
        let names = match &self.file {
            Some(name) => vec![name.clone()],
            None => disk.list(&self.dir)?.into_iter().filter(|it| base_of(it).is_some()).collect(),
        };
        Ok(names.into_iter().map(|name| self.dir.join(name)).collect())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("{} cannot be read: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("{} is neither a .seg or .cut file, nor the directory of a partition, a topic or a node", path.display())]
    NotOurs { path: PathBuf },
}

/// Finds what `path` names. It should be absolute and free of links: the names above it tell whose the files should be.
pub fn find(disk: &dyn Disk, path: &Path) -> Result<Target, FindError> {
    let at = |path: &Path| path.to_path_buf();
    let list = |dir: &Path| disk.list(dir).map_err(|source| FindError::Disk { path: at(dir), source });
    let not_ours = || FindError::NotOurs { path: at(path) };
    if let (Some(SEGMENT | SET_ASIDE), Some(dir)) = (extension(path), path.parent()) {
        let file = path.file_name().map(|it| it.to_string_lossy().into_owned());
        return Ok(Target { data: None, places: vec![Place { dir: at(dir), file }] });
    }
    let names = list(path)?;
    let of = |dirs: Vec<PathBuf>| dirs.into_iter().map(|dir| Place { dir, file: None }).collect();
    if names.iter().any(|it| it == "FORMAT" || it == "topics") {
        let places = if names.iter().any(|it| it == "topics") {
            topics(&list, path.join("topics"))?
        } else {
            Vec::new()
        };
        return Ok(Target { data: Some(at(path)), places: of(places) });
    }
    let ours = |it: &String| matches!(extension(Path::new(it)), Some(SEGMENT | SIDECAR | SET_ASIDE));
    let places = if names.iter().any(ours) || (names.is_empty() && expected_partition(path).is_some()) {
        vec![at(path)]
    } else if names.iter().any(|it| partition_of(it).is_some()) {
        partitions(path, &names)
    } else if names.iter().any(|it| topic_of(it).is_some()) {
        topics(&list, at(path))?
    } else {
        return Err(not_ours());
    };
    Ok(Target { data: None, places: of(places) })
}

/// The partitions of all topics, in the order of ids.
fn topics(
    list: &impl Fn(&Path) -> Result<Vec<String>, FindError>,
    dir: PathBuf,
) -> Result<Vec<PathBuf>, FindError> {
    let mut found = Vec::new();
    for topic in list(&dir)?.iter().filter(|it| topic_of(it).is_some()) {
        let dir = dir.join(topic);
        found.extend(partitions(&dir, &list(&dir)?));
    }
    Ok(found)
}

fn partitions(topic: &Path, names: &[String]) -> Vec<PathBuf> {
    let mut numbers: Vec<_> = names.iter().filter_map(|it| partition_of(it)).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|it| topic.join(it.to_string())).collect()
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|it| it.to_str())
}

fn topic_of(name: &str) -> Option<TopicId> {
    name.parse().ok()
}

/// As a node writes it: no sign, no zero in front.
fn partition_of(name: &str) -> Option<Partition> {
    let number = name.parse().ok().map(Partition)?;
    (number.to_string() == name).then_some(number)
}

fn expected_partition(dir: &Path) -> Option<(TopicId, Partition)> {
    let name = |dir: &Path| dir.file_name()?.to_str().map(String::from);
    let partition = partition_of(&name(dir)?)?;
    Some((topic_of(&name(dir.parent()?)?)?, partition))
}

/// Whose the files of a directory should be, as far as the names above it tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub cluster: Option<ClusterId>,
    pub partition: Option<(TopicId, Partition)>,
}

impl Owner {
    pub(super) fn of(disk: &dyn Disk, dir: &Path) -> Self {
        let partition = expected_partition(dir);
        let topics =
            dir.parent().and_then(Path::parent).filter(|it| it.file_name().is_some_and(|it| it == "topics"));
        let data = topics.and_then(Path::parent).filter(|_| partition.is_some());
        Self { cluster: data.and_then(|data| cluster_of(disk, data)), partition }
    }
}

/// What the data directory's `FORMAT` states.
fn cluster_of(disk: &dyn Disk, data: &Path) -> Option<ClusterId> {
    let bytes = disk.read_small(&data.join("FORMAT"), FORMAT_BYTES_MAX).ok()??;
    let text = std::str::from_utf8(&bytes).ok()?;
    text.lines().find_map(|line| line.strip_prefix("cluster "))?.parse().ok()
}
