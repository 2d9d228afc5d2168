//! What must hold at every moment, one promise at a time. The numbers are the design's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use carrick_link::{LinkStatus, MirrorStatus};
use carrick_log::{Bound, Durability, Partition, ReadError, Role};
use carrick_record::Batches;
use carrick_types::limits::UNSYNCED_BYTES_MAX;
use carrick_types::{Known, MirrorState, Offset, Offsets};
use tokio::time::Instant;

use super::book::Book;
use super::plan::{ADDRESSES, EAST, Place, Plan, WEST};
use crate::door::Life;
use crate::line::Net;

/// An old side that can be heard, and hears, knows by then.
const FENCED_WITHIN: Duration = Duration::from_secs(15);
/// "A few seconds" in which lag may say zero of what waits: a beat that was held up to the silence limit, and one more.
const LAG_WITHIN: Duration = Duration::from_secs(3);
/// As long as the last beat that says so counts as fresh, though the line had held it up: no other may follow it.
const LAG_LIES: Duration = Duration::from_millis(2_100);
/// A source was heard when its word came, however long that waits for a disk that is stuck; but for the moment of a look.
const HEARD_LATE: Duration = Duration::from_millis(100);
const FRESH: Duration = Duration::from_secs(2);
/// Tasks of a site with a handful of partitions and clients, when nothing is wrong.
const TASKS_MAX: usize = 100;

/// What a look sees.
pub struct View<'a> {
    pub plan: &'a Plan,
    pub lives: [Option<Life>; 2],
    /// Commits of each site's catalog that a power cut could take.
    pub unsynced: [usize; 2],
    pub net: &'a Net,
    /// Since the last fault ended.
    pub calm: Duration,
    /// Since west was woken, or began.
    pub awake: Duration,
}

impl View<'_> {
    fn log(&self, site: usize, place: Place) -> Option<Arc<Partition>> {
        self.lives[site].as_ref().filter(|life| !life.sim.disk.crashed())?.log(place.0, place.1)
    }

    fn offsets(&self, site: usize, place: Place) -> Option<Offsets> {
        self.log(site, place).map(|log| log.offsets())
    }
}

pub struct Promises {
    book: Arc<Book>,
    /// The offset after what was read at each site.
    read: BTreeMap<(usize, Place), i64>,
    /// East's, as far as it was seen.
    starts: BTreeMap<Place, i64>,
    highs: BTreeMap<Place, i64>,
    /// Since when west's durable end is below this offset, which readers at east can see.
    waiting: BTreeMap<Place, (Offset, Instant)>,
    /// Since when lag says zero of that, and goes on to.
    lying: BTreeMap<Place, Instant>,
    positions: BTreeMap<Place, i64>,
    steps_back: BTreeMap<Place, usize>,
}

impl Promises {
    pub fn new(book: &Arc<Book>) -> Self {
        Self {
            book: Arc::clone(book),
            read: BTreeMap::new(),
            starts: BTreeMap::new(),
            highs: BTreeMap::new(),
            waiting: BTreeMap::new(),
            lying: BTreeMap::new(),
            positions: BTreeMap::new(),
            steps_back: BTreeMap::new(),
        }
    }

    /// The most that readers could see at east.
    pub fn high(&self, place: Place) -> i64 {
        self.highs.get(&place).copied().unwrap_or(0)
    }

    pub fn forget_read(&mut self) {
        self.read.clear();
    }

    pub async fn look(&mut self, view: &View<'_>) {
        for place in view.plan.places() {
            for site in [EAST, WEST] {
                self.p9_offsets_in_order(view, site, place);
                self.p1_read_on(view, site, place).await;
            }
            self.p3_starts_where_source_does(view, place);
            self.p4_fenced(view, place);
            self.p5_groups_land(view, place);
            self.p6_open_is_open(view, place);
        }
        self.p9_bounded(view);
        if let Some(west) = &view.lives[WEST] {
            let (links, mirrors) = (west.links.links(), west.links.mirrors());
            self.p3_failed_with_a_cause(view, &mirrors);
            self.p8_unknown_is_never_zero(view, &links, &mirrors);
        }
        self.o5_nothing_panics(view);
        self.book.check();
    }

    /// After a start: what was acknowledged is there (P2), and all is looked at again (P1).
    pub fn started(&mut self, view: &View<'_>, site: usize) {
        for place in view.plan.places() {
            self.read.remove(&(site, place));
            if let Some(offsets) = view.offsets(site, place) {
                self.book.check_end(site, place, offsets.log_end.at().get());
            }
        }
    }

    /// P1, O2: offset → batch is one value for ever, equal at both sites. P3: no offset is left out.
    async fn p1_read_on(&mut self, view: &View<'_>, site: usize, place: Place) {
        let Some(log) = view.log(site, place) else { return };
        let offsets = log.offsets();
        let (start, high) = (offsets.log_start.at().get(), offsets.high_watermark.at().get());
        let mut at = self.read.get(&(site, place)).copied().unwrap_or(start).max(start);
        while at < high {
            let slice = match log.read(Offset::clamped(at), 1 << 20, Bound::HighWatermark).await {
                Ok(slice) => slice,
                Err(ReadError::Damaged(damage)) if !view.lives[site].as_ref().unwrap().sim.disk.crashed() => {
                    return self.book.broken("P1", damage);
                }
                // Its start moved meanwhile, or it crashed.
                Err(_) => return,
            };
            let before = at;
            for batch in Batches::new(slice.bytes) {
                let Ok(batch) = batch else {
                    return self
                        .book
                        .broken("P1", format!("{} reads no batch at {at} of {place:?}", ADDRESSES[site]));
                };
                let base = batch.header.base_offset.get();
                if base > at {
                    let site = ADDRESSES[site];
                    return self
                        .book
                        .broken("P3", format!("{site} has nothing from {at} to {base} of {place:?}"));
                }
                at = self.book.saw(site, place, &batch);
            }
            if at == before {
                return self
                    .book
                    .broken("P3", format!("{} reads nothing at {at} of {place:?}", ADDRESSES[site]));
            }
        }
        self.read.insert((site, place), at);
    }

    /// P3: a mirror keeps what its source keeps.
    fn p3_starts_where_source_does(&mut self, view: &View<'_>, place: Place) {
        if let Some(east) = view.offsets(EAST, place) {
            let (start, high) = (east.log_start.at().get(), east.high_watermark.at().get());
            let known = self.starts.entry(place).or_default();
            *known = start.max(*known);
            let known = self.highs.entry(place).or_default();
            *known = high.max(*known);
        }
        let known = self.starts.get(&place).copied().unwrap_or(0).max(self.book.deleted(place));
        let Some(west) = view.offsets(WEST, place) else { return };
        let start = west.log_start.at().get();
        // What expires between two looks is not seen; once it is open, it expires by itself.
        if start > known && !view.plan.expires(place.0) {
            self.book.broken(
                "P3",
                format!("the mirror of {place:?} begins at {start}, its source never above {known}"),
            );
        }
    }

    /// P3, O6: a mirror fails with a code, and here by one cause alone: its source forgot what it had not sent.
    fn p3_failed_with_a_cause(&self, view: &View<'_>, mirrors: &[MirrorStatus]) {
        for mirror in mirrors.iter().filter(|it| it.state == MirrorState::Failed) {
            let forgot = view.plan.expires(&mirror.name) || self.book.deleted_in(&mirror.name);
            let known = matches!(mirror.code.as_str(), "LOG_START_PASSED" | "OFFSET_OUT_OF_RANGE");
            if !(forgot && known) {
                let MirrorStatus { name, code, message, .. } = mirror;
                self.book.broken("P3", format!("{name} failed without a cause: {code}: {message}"));
            }
        }
    }

    /// P4: who heard of the new generation takes no write, now or after a restart; and who can hear of it, does.
    fn p4_fenced(&self, view: &View<'_>, place: Place) {
        let Some(log) = view.log(EAST, place).filter(|_| self.book.opened()) else { return };
        let fenced = log.role() == Role::Superseded;
        let topic = view.lives[EAST].as_ref().and_then(|life| life.catalog.topic(place.0));
        if fenced && topic.is_some_and(|it| it.superseded.is_some()) && view.unsynced[EAST] == 0 {
            self.book.supersede(place);
        }
        if !fenced && self.book.superseded(place) {
            self.book.broken("P4", format!("{place:?} was superseded and is {:?}", log.role()));
        }
        if !fenced && view.calm > FENCED_WITHIN {
            self.book
                .broken("P4", format!("{place:?} is not superseded after {:?}: {:?}", view.calm, log.role()));
        }
    }

    /// P5, O4: a synced position is never past the mirror's high watermark, and goes back with a word alone.
    fn p5_groups_land(&mut self, view: &View<'_>, place: Place) {
        let (Some(west), Some(log)) = (&view.lives[WEST], view.log(WEST, place)) else { return };
        let partition = carrick_types::Partition(place.1);
        let Some(record) = west.catalog.group_offset("app-one", place.0, partition).filter(|it| it.synced)
        else {
            return;
        };
        let (at, high) = (record.offset.get(), log.offsets().high_watermark.at().get());
        // One that is empty may have forgotten where it began.
        if matches!(log.role(), Role::Mirror { .. }) && at > high && log.last_epoch().is_some() {
            self.book.broken("P5", format!("app-one stands at {at} of {place:?}, the mirror at {high}"));
        }
        if view.unsynced[WEST] == 0 && self.positions.insert(place, at).is_some_and(|before| before > at) {
            *self.steps_back.entry(place).or_default() += 1;
        }
        if view.calm > FRESH {
            self.p5_steps_back_are_journalled(west, place);
        }
    }

    fn p5_steps_back_are_journalled(&self, west: &Life, place: Place) {
        let Some(seen) = self.steps_back.get(&place) else { return };
        let of = format!(" in {}-{}, as its source has it", place.0, place.1);
        let journal = west.links.journal().unwrap();
        let told = journal
            .iter()
            .filter(|it| it.what.starts_with("group app-one went back") && it.what.ends_with(&of));
        let told = told.count();
        if told < *seen {
            self.book
                .broken("P5", format!("app-one went back {seen} times in {place:?}, the journal has {told}"));
        }
    }

    /// P6: what was opened stays open, and nobody waits there for the end of a transaction.
    fn p6_open_is_open(&self, view: &View<'_>, place: Place) {
        let Some(log) = view.log(WEST, place).filter(|_| self.book.opened()) else { return };
        let role = log.role();
        if !matches!(role, Role::Writable { epoch } if epoch.generation().get() == 1) {
            self.book.broken("P6", format!("{place:?} was opened and is {role:?}"));
        }
        let open = log.open_transactions();
        if !open.is_empty() {
            self.book
                .broken("P6", format!("{place:?} was opened with transactions that do not end: {open:?}"));
        }
    }

    /// P8: a silent source is not heard, and while it is heard lag does not say zero of what waits there.
    fn p8_unknown_is_never_zero(&mut self, view: &View<'_>, links: &[LinkStatus], mirrors: &[MirrorStatus]) {
        let heard = links.first().map_or(Known::Unknown, |it| it.heard);
        let silent = view.net.silence(ADDRESSES[WEST]).unwrap_or_default();
        if let Known::Known(age) = heard
            && age + HEARD_LATE < silent.min(view.awake)
        {
            self.book
                .broken("P8", format!("nothing came for {silent:?}, and the source was heard {age:?} ago"));
        }
        for place in view.plan.places() {
            self.p8_lag(view, place, heard, mirrors);
        }
    }

    fn p8_lag(&mut self, view: &View<'_>, place: Place, heard: Known<Duration>, mirrors: &[MirrorStatus]) {
        let mirror = mirrors.iter().find(|it| it.name == place.0 && it.state != MirrorState::Stopped);
        let ends = view.offsets(EAST, place).zip(view.offsets(WEST, place));
        let (Some(mirror), Some((east, west))) = (mirror, ends) else {
            self.waiting.remove(&place);
            return;
        };
        let (high, durable) = (east.high_watermark.at(), west.durable_end.at());
        let since = match self.waiting.get(&place) {
            Some((upto, since)) if durable < *upto => *since,
            _ if durable < high => {
                self.waiting.insert(place, (high, Instant::now()));
                return;
            }
            _ => {
                self.waiting.remove(&place);
                return;
            }
        };
        let fresh = matches!(heard, Known::Known(age) if age < FRESH);
        let lag = mirror.partitions.get(place.1 as usize).map(|it| it.lag);
        let zero = matches!(lag, Some(Known::Known(lag)) if lag.offsets == 0);
        if !(zero && fresh && since.elapsed().min(view.awake) > LAG_WITHIN) {
            self.lying.remove(&place);
        } else if self.lying.entry(place).or_insert_with(Instant::now).elapsed() > LAG_LIES {
            let (state, waits) = (mirror.state, since.elapsed());
            let what =
                format!("{place:?} ({state}) is at {durable}, {high} waits for {waits:?}, and lag is zero");
            self.book.broken("P8", what);
        }
    }

    /// P9: the five offsets keep their order.
    fn p9_offsets_in_order(&self, view: &View<'_>, site: usize, place: Place) {
        let fsync = view.plan.durability == Durability::Fsync;
        if let Some(offsets) = view.offsets(site, place).filter(|it| !it.ordered(fsync)) {
            self.book.broken("P9", format!("{} has {place:?} at {offsets:?}", ADDRESSES[site]));
        }
    }

    /// P9: what is not synced is bounded, as is what runs.
    fn p9_bounded(&self, view: &View<'_>) {
        for (site, life) in view.lives.iter().enumerate() {
            let Some(life) = life else { continue };
            let (unsynced, tasks) = (life.logs.unsynced(), life.sim.spawn.living());
            if unsynced > UNSYNCED_BYTES_MAX || (tasks > TASKS_MAX && view.calm > FENCED_WITHIN) {
                let site = ADDRESSES[site];
                self.book.broken("P9", format!("{site} has {unsynced} un-synced bytes, {tasks} tasks"));
            }
        }
    }

    /// O5: no task of a site panics.
    fn o5_nothing_panics(&self, view: &View<'_>) {
        for (site, life) in view.lives.iter().enumerate() {
            let panicked = life.as_ref().map(|it| it.sim.spawn.panicked()).unwrap_or_default();
            if !panicked.is_empty() {
                self.book.broken("O5", format!("{}: {panicked:?} panicked", ADDRESSES[site]));
            }
        }
    }
}
