//! Everything at once: two sites under load, any faults in any order, in half of the seeds a failover in the midst of it;
//! the promises are looked at five times a second, and once more when the faults have stopped.

mod book;
mod clients;
mod faults;
mod plan;
mod promises;
mod scene;
mod settle;
mod takeover;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use carrick_link::{CreateLink, CreateMirrors, LinkState, Mutation};
use carrick_sim::{History, run};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::batch::Producer;
use crate::cases::{cases, hold};
use crate::world::{Wrap, until, words};
use clients::{Consuming, Producing, World};
use plan::{Draw, EAST, Plan, WEST};
use scene::Scene;

const MINUTE: Duration = Duration::from_secs(60);

fn mutation(n: u8) -> Mutation {
    Mutation { request: [n; 16], dry_run: false, who: "test".into() }
}

/// What is wrong with a world before it begins, for tests of the promises themselves.
#[derive(Clone, Default)]
pub struct Amiss {
    pub wrap: Option<Wrap>,
    pub disks_lie: bool,
}

pub fn story(seed: u64, amiss: &Amiss) -> History {
    words();
    let history = History::new();
    run(seed, async {
        let mut scene = Scene::new(Plan::of(seed), &history);
        for site in &mut scene.sites {
            site.wrap.clone_from(&amiss.wrap);
            assert!(site.start().await);
        }
        prepare(&scene).await;
        if amiss.disks_lie {
            scene.sites.iter().for_each(|site| site.sim.disk.lie_about_syncs());
        }
        let clients = clients(&scene);
        for step in 0..scene.plan.steps {
            if scene.plan.failover == Some(step) {
                scene.fail_over().await;
            }
            let fault = scene.plan.faults[scene.draw.below(scene.plan.faults.len() as u64) as usize];
            scene.begin(fault).await;
            let wait = if scene.draw.one_in(3) { scene.draw.ms(0, 6_000) } else { scene.draw.ms(0, 1_000) };
            scene.pass(wait).await;
        }
        scene.settle(clients).await;
    });
    history
}

/// Topics with something in them, the link, the mirrors.
async fn prepare(scene: &Scene) {
    let [east, west] = &scene.sites;
    east.create_topic("orders", scene.plan.orders as i32).await;
    let retention: Vec<_> = scene.plan.retention.clone().into_iter().collect();
    east.create_topic_with("notes", 1, &retention).await;
    let link = CreateLink {
        name: "east-west".into(),
        peer: plan::ADDRESSES[EAST].into(),
        connections: scene.plan.connections,
        groups: "app-*".into(),
    };
    let links = Arc::clone(&west.node().links);
    links.create_link(&mutation(1), link).await.unwrap();
    until("the link connects", MINUTE, || links.links()[0].state == LinkState::Connected).await;
    let asked = CreateMirrors { link: "east-west".into(), topics: vec!["*".into()] };
    links.create_mirrors(&mutation(2), asked).await.unwrap();
}

fn clients(scene: &Scene) -> Vec<JoinHandle<()>> {
    let world = World {
        doors: [EAST, WEST].map(|at| Arc::clone(&scene.sites[at].door)),
        book: Arc::clone(&scene.book),
        began: Instant::now(),
    };
    let mut clients = Vec::new();
    for (n, place) in scene.plan.places().into_iter().enumerate() {
        let n = n as u64;
        let producing = Producing {
            world: world.clone(),
            place,
            draw: Draw::new(scene.plan.seed, 300 + n),
            producer: Producer { id: 5_000 + n as i64, epoch: 0, sequence: 0 },
            at: EAST,
        };
        clients.push(tokio::spawn(producing.run()));
        for site in [EAST, WEST] {
            let draw = Draw::new(scene.plan.seed, 400 + 2 * n + site as u64);
            clients.push(tokio::spawn(Consuming { world: world.clone(), site, place, draw }.run()));
        }
    }
    clients
}

/// The promise that a story breaks, and how.
pub fn broken_by(seed: u64, amiss: &Amiss) -> Option<String> {
    let told = catch_unwind(AssertUnwindSafe(|| story(seed, amiss))).err()?;
    let text = told.downcast_ref::<String>().map(String::as_str);
    Some(text.or(told.downcast_ref::<&str>().copied()).unwrap_or("no words").to_string())
}

#[test]
fn the_promises_hold_whatever_happens() {
    hold(cases(150, 500), |seed| drop(story(seed, &Amiss::default())));
}

#[test]
fn the_same_seed_gives_the_same_chaos() {
    for seed in 0..6 {
        let (one, two) = (story(seed, &Amiss::default()), story(seed, &Amiss::default()));
        assert_eq!(one.difference(&two), None, "seed {seed}");
    }
}
