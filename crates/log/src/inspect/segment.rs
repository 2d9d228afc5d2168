//! One file: its first page, and where its batches begin.

use std::io;
use std::path::Path;
use std::sync::Arc;

use carrick_sys::{Disk, File, Opening};
use carrick_types::{ClusterId, Offset, Partition, TopicId};

use super::place::SET_ASIDE;
use super::walk::Walk;
use crate::page::{BadPage, PAGE_LEN, Page};

/// What a segment's first page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstPage {
    pub cluster: ClusterId,
    pub topic: TopicId,
    pub partition: Partition,
    /// The offset of its first batch.
    pub base: Offset,
    /// The log when the segment was begun; its end lies below the base where a mirror's source has a hole.
    pub log_start: Offset,
    pub log_end: Offset,
    pub log_durable: Offset,
}

/// A segment file, or what recovery set aside of one.
pub struct Segment {
    /// Bytes, when it was opened.
    pub len: u64,
    /// None: of a file that was set aside, and holds batches alone.
    pub(super) page: Option<Result<FirstPage, BadPage>>,
    file: Arc<dyn File>,
}

impl Segment {
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, Opening::Read)?;
        let len = file.len()?;
        let page = Page::read(&file.read_at(PAGE_LEN, 0)?).map(|(page, before)| FirstPage {
            cluster: page.cluster,
            topic: page.topic,
            partition: page.partition,
            base: page.base,
            log_start: before.start,
            log_end: before.end,
            log_durable: before.durable,
        });
        let bare = page == Err(BadPage::NotOurs) && path.extension().is_some_and(|it| it == SET_ASIDE);
        Ok(Self { len, page: (!bare).then_some(page), file })
    }

    /// None of what was set aside without one; an error says what is wrong with it.
    pub fn first_page(&self) -> Result<Option<FirstPage>, String> {
        self.page.clone().transpose().map_err(|bad| bad.to_string())
    }

    /// All of it, from its first batch.
    pub fn batches(&self) -> Walk {
        self.batches_from(Offset::ZERO)
    }

    pub(super) fn batches_from(&self, expected: Offset) -> Walk {
        let first = if self.page.is_some() { PAGE_LEN as u64 } else { 0 };
        Walk::new(Arc::clone(&self.file), self.len, first, expected)
    }
}

impl FirstPage {
    pub(super) fn page(&self) -> Page {
        Page { cluster: self.cluster, topic: self.topic, partition: self.partition, base: self.base }
    }
}
