//! The end of a story: the faults stop, and within a bound everything is as it should be (O7).

use std::sync::atomic::Ordering;
use std::time::Duration;

use carrick_link::LinkState;
use carrick_types::{Known, LeaderEpoch, MirrorState, Partition};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::plan::{ADDRESSES, EAST, Place, WEST};
use super::scene::Scene;

/// Until clients are done and both sites agree: a wait for the peer, the longest retry, and what was left to do.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// Longer than a side that can be heard may take to stop.
const CALM: Duration = Duration::from_secs(17);

impl Scene {
    pub async fn settle(&mut self, clients: Vec<JoinHandle<()>>) {
        self.heal();
        self.note("heal");
        self.within("the faults end", |scene| scene.calm() > Duration::ZERO).await;
        self.pass(CALM).await;
        self.within("the failover is answered", Self::failover_answered).await;
        self.p6_failed_over();
        self.book.check();
        self.book.stop.store(true, Ordering::Relaxed);
        self.within("every client is answered", |_| clients.iter().all(JoinHandle::is_finished)).await;
        for client in clients {
            client.await.expect("a client does not panic");
        }
        self.within("both sites agree", |scene| scene.disagreement()).await;
        self.look_at_all_again().await;
        for place in self.plan.places() {
            let ends = [EAST, WEST].map(|at| self.ends(at, place));
            self.note(format_args!("{place:?} {ends:?}"));
        }
    }

    /// O7: within the bound it holds.
    async fn within<T: Verdict>(&mut self, what: &str, holds: impl Fn(&Self) -> T) {
        let begun = Instant::now();
        loop {
            let verdict = holds(self).why();
            let Some(why) = verdict else { return };
            if begun.elapsed() > SETTLED_WITHIN {
                self.book.broken("O7", format!("not within {SETTLED_WITHIN:?}: {what}: {why}"));
                self.book.check();
            }
            self.pass(Duration::from_millis(400)).await;
        }
    }

    /// P1, P2: from the beginning, once more.
    async fn look_at_all_again(&mut self) {
        self.forget_read();
        self.pass(Duration::ZERO).await;
        self.book.check_acks(|site, place| self.ends(site, place)[0]);
        self.book.check();
    }

    /// Where clients of the new generation went on at west.
    pub fn opened_at(&self, place: Place) -> i64 {
        let life = self.sites[WEST].door.life().expect("it runs");
        let log = life.log(place.0, place.1).expect("it is there");
        let before = log.end_of_epoch(LeaderEpoch::new(0xffff).unwrap());
        before.map_or(i64::MAX, |it| it.end.get())
    }

    /// Log start, high watermark, log end.
    fn ends(&self, at: usize, place: Place) -> [i64; 3] {
        let life = self.sites[at].door.life().expect("it runs");
        let offsets = life.log(place.0, place.1).expect("it is there").offsets();
        [offsets.log_start.at(), offsets.high_watermark.at(), offsets.log_end.at()].map(|it| it.get())
    }

    /// None when everything is as it should be.
    fn disagreement(&self) -> Option<String> {
        let lives = [EAST, WEST].map(|at| self.sites[at].door.life());
        let [Some(east), Some(west)] = &lives else { return Some("a site is down".into()) };
        let links = west.links.links();
        if links[0].state != LinkState::Connected {
            return Some(format!("{links:?}"));
        }
        for mirror in west.links.mirrors() {
            let places = self.plan.places().into_iter().filter(|it| it.0 == mirror.name);
            let opened = self.book.opened();
            match mirror.state {
                MirrorState::Stopped if opened => {}
                // By its cause, which is looked at all the time.
                MirrorState::Failed if !opened && !mirror.code.is_empty() => continue,
                MirrorState::Active if !opened => {}
                state => return Some(format!("{} is {state}", mirror.name)),
            }
            for place in places {
                let [source, here] = [EAST, WEST].map(|at| self.ends(at, place));
                if opened {
                    if here[1] != here[2] {
                        return Some(format!("{place:?}: {here:?} at {}", ADDRESSES[WEST]));
                    }
                    continue;
                }
                let lag = mirror.partitions[place.1 as usize].lag;
                let caught_up = matches!(lag, Known::Known(lag) if lag.offsets == 0);
                // A source that crashed may begin lower again than it had told its mirror.
                if source[1..] != here[1..] || here[0] < source[0] || !caught_up {
                    return Some(format!("{place:?}: source {source:?}, mirror {here:?}, {lag:?}"));
                }
                // P5: what the source has, and the mirror too.
                let at = [east, west].map(|life| {
                    let found = life.catalog.group_offset("app-one", place.0, Partition(place.1));
                    found.map(|it| it.offset.get())
                });
                let wanted = at[0].map(|at| at.min(source[1]));
                if at[1] != wanted {
                    return Some(format!("app-one in {place:?}: {at:?}"));
                }
            }
        }
        None
    }
}

/// What a wait looks at: a truth, or what is missing.
trait Verdict {
    fn why(self) -> Option<String>;
}

impl Verdict for bool {
    fn why(self) -> Option<String> {
        (!self).then(|| "no".into())
    }
}

impl Verdict for Option<String> {
    fn why(self) -> Option<String> {
        self
    }
}
