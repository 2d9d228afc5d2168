//! The five offsets against a model, through drawn appends, transactions, syncs, roles and lives.

use std::sync::Arc;

use carrick_log::{Bound, Durability, LogSettings, Partition};
use carrick_sim::{Cut, run};
use carrick_types::LogStart;

use crate::batches::{batch, marker};
use crate::chance::Chance;
use crate::life::{Life, Look as _, mirror, offset, small, writable};

/// What a log should know, as plain lists.
#[derive(Default)]
struct Model {
    start: i64,
    end: i64,
    durable: i64,
    source_high: Option<i64>,
    mirrors: bool,
    /// (producer, first offset)
    open: Vec<(i64, i64)>,
    /// (producer, first offset, marker's offset, aborted)
    ended: Vec<(i64, i64, i64, bool)>,
}

impl Model {
    fn data(&mut self, producer: i64, base: i64) {
        if self.open.iter().all(|(open, _)| *open != producer) {
            self.open.push((producer, base));
        }
    }

    fn end(&mut self, producer: i64, marker: i64, aborted: bool) {
        if let Some(i) = self.open.iter().position(|(open, _)| *open == producer) {
            let (_, first) = self.open.remove(i);
            self.ended.push((producer, first, marker, aborted));
        }
    }

    fn high(&self, os: bool) -> i64 {
        let own = if os { self.end } else { self.durable };
        let high = if self.mirrors { self.source_high.map_or(self.start, |high| high.min(own)) } else { own };
        high.max(self.start)
    }

    fn stable(&self, os: bool) -> i64 {
        let high = self.high(os);
        let open = self.open.iter().map(|(_, first)| *first);
        let unread = self.ended.iter().filter(|it| it.2 >= high).map(|it| it.1);
        open.chain(unread).chain([high]).min().unwrap().max(self.start)
    }
}

struct World {
    life: Life,
    log: Arc<Partition>,
    model: Model,
    os: bool,
    epoch: i32,
    next: [i32; 3],
}

impl World {
    fn check(&mut self, step: &str) {
        let five = self.log.five();
        let offsets = self.log.offsets();
        assert!(offsets.ordered(!self.os), "{step}: {offsets:?}");
        // How far a sync has come is the disk's to say; it never goes back.
        let durable = five[4];
        let seen = (self.model.durable, self.model.end);
        assert!(seen.0 <= durable && durable <= seen.1, "{step}: {five:?} after {seen:?}");
        self.model.durable = durable;
        let (high, stable) = (self.model.high(self.os), self.model.stable(self.os));
        assert_eq!(five, [self.model.start, stable, high, self.model.end, durable], "{step}");
        let mut aborted: Vec<_> = self.model.ended.iter().filter(|it| it.3).map(|it| (it.1, it.2)).collect();
        aborted.sort_by_key(|it| it.1);
        let told = self.log.aborted_within(offset(0), offset(i64::MAX));
        let told: Vec<_> = told.iter().map(|it| (it.first.get(), it.last.get())).collect();
        assert_eq!(told, aborted, "{step}");
        assert_eq!(self.log.open_transactions().len(), self.model.open.len(), "{step}");
    }

    async fn step(&mut self, chance: &mut Chance) -> String {
        let model = &mut self.model;
        match chance.below(12) {
            0..6 => {
                let hole = if model.mirrors && chance.one_in(4) { chance.below(9) as i64 } else { 0 };
                let base = model.end + hole;
                let producer = chance.below(3) as i64;
                let next = &mut self.next[producer as usize];
                let sent = match chance.below(4) {
                    0 => {
                        model.end(producer, base, *next % 2 == 0);
                        marker(producer, 0, *next % 2 == 1, base)
                    }
                    1 | 2 => {
                        model.data(producer, base);
                        *next += 2;
                        batch(2).producer(producer, 0, *next - 2).transactional().at(base).build()
                    }
                    _ => batch(3).at(base).build(),
                };
                model.end = base + sent.header.next_offset().since(sent.header.base_offset) as i64;
                if model.mirrors {
                    if base == hole && self.log.all(Bound::LogEnd).await.is_empty() {
                        model.start = base;
                        model.durable = base;
                    }
                    let epoch = carrick_types::LeaderEpoch::new(self.epoch);
                    self.log.append_mirrored(&sent, epoch, self.life.now()).unwrap();
                } else {
                    assert_eq!(self.log.put(&sent).base, offset(base));
                }
                format!("append at {base}")
            }
            6 | 7 => {
                self.life.store.flush().await.unwrap();
                model.durable = model.end;
                "flush".into()
            }
            8 => {
                tokio::task::yield_now().await;
                "yield".into()
            }
            9 | 10 if model.mirrors => {
                let high = model.source_high.unwrap_or(0) + chance.below(12) as i64;
                // A source's readers see whole batches.
                let ends = self.log.all(Bound::LogEnd).await;
                let ends = ends.iter().map(|it| it.header.next_offset().get()).filter(|it| *it <= high);
                let high = ends.max().unwrap_or(0).max(model.source_high.unwrap_or(0));
                model.source_high = Some(high);
                self.log.set_source_high(offset(high));
                format!("source high {high}")
            }
            11 if chance.one_in(6) => {
                model.source_high = None;
                // A new generation, as a promotion begins.
                self.epoch += 1 << 16;
                model.mirrors = false;
                self.log.set_role(self.role());
                format!("now {:?}", self.log.role())
            }
            _ => "nothing".into(),
        }
    }

    fn role(&self) -> carrick_log::Role {
        if self.model.mirrors { mirror() } else { writable(self.epoch) }
    }

    /// Ends and begins again: cleanly, or killed after a flush, when nothing is durable until a sync says so.
    async fn restart(mut self, clean: bool, fails_back: bool) -> Self {
        self.life.store.flush().await.unwrap();
        self.model.mirrors |= fails_back;
        let role = self.role();
        self.life = self.life.reboot(if clean { Cut::Power } else { Cut::Kill }).await;
        self.log = self.life.open(role, clean);
        // A mirror shows what it has: its source had it readable.
        self.model.source_high = self.model.mirrors.then_some(self.model.end);
        self.model.durable = if clean { self.model.end } else { self.model.start };
        self.check("restart");
        self
    }
}

#[test]
fn the_five_offsets_keep_their_order_and_are_what_a_model_says() {
    for seed in 0..150 {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let os = chance.one_in(3);
            let durability = if os { Durability::Os } else { Durability::Fsync };
            let settings = LogSettings { durability, ..small(chance.within(1..3_000)) };
            let model = Model { mirrors: chance.one_in(2), ..Model::default() };
            let life = Life::first(seed, settings);
            let log = life.open(if model.mirrors { mirror() } else { writable(0) }, true);
            let mut world = World { life, log, model, os, epoch: 0, next: [0; 3] };
            for n in 0..120 {
                let step = world.step(&mut chance).await;
                world.check(&format!("seed {seed} step {n}: {step}"));
                if chance.one_in(30) {
                    world = world.restart(chance.one_in(2), chance.one_in(4)).await;
                }
            }
            assert_eq!(world.log.offsets().log_start, LogStart::new(offset(world.model.start)));
        });
    }
}
