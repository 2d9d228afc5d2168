//! An old primary that sleeps through a failover, and wakes with its clients still there.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrick_tests::{Chance, Load, Node, Pair, Python, carrick, cases, deadline, in_case};
use serde_json::Value;

use crate::{SOON, lines};

const PARTITIONS: &str = "2";
/// From the moment at which it is seen to hear the other side: a heartbeat, and what it takes to see it.
const HEARS_MS: u64 = 1_000;
/// For it to hear: the other side's waits between two tries grow to 5 s, and a try may take as long.
const WITHIN: Duration = Duration::from_secs(15);
/// How long its clients go on after that.
const AFTER: Duration = Duration::from_millis(1_200);

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// One that was answered, or the first of those that were refused.
#[derive(Clone, Copy, Debug)]
struct Told {
    partition: u64,
    accepted: bool,
    error: u64,
    at_ms: u64,
}

fn told(acks: &Path) -> Vec<Told> {
    let text = std::fs::read_to_string(acks).unwrap();
    // The last line may be half there.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let accepted = words[0] == "ack";
        let error = if accepted { 0 } else { number(2) };
        Told { partition: number(1), accepted, error, at_ms: number(words.len() - 1) }
    };
    whole.lines().map(parse).collect()
}

struct World<'a> {
    pair: Pair,
    east: Node,
    _west: Node,
    python: &'a Python,
}

impl World<'_> {
    fn linked(&self, arguments: &[&str]) {
        self.python.script("clients/linked.py").args(arguments).run(SOON);
    }

    fn connected(&self) -> bool {
        carrick(&self.pair.west, &["link", "list"])[0]["state"] == "CONNECTED"
    }

    /// How many writes the old side took after it woke.
    fn sleeps_through_a_failover(&self, case: u64) -> usize {
        let mut chance = Chance::of(case);
        let topic = format!("orders-{case}");
        let (east, west) = (self.pair.east.kafka(), self.pair.west.kafka());
        deadline("the link", SOON, || self.connected().then_some(()));
        self.linked(&["create", &east, &topic, PARTITIONS]);
        self.pair.mirror(&[&topic]);
        let _ = std::fs::remove_file(self.pair.east.file("stop"));
        let mut load = Load::start(&self.pair.east, |acks, stop| {
            let steady =
                self.python.script("clients/steady.py").args(["write", &east, &topic, PARTITIONS, "0.005"]);
            steady.arg(acks).arg(stop)
        });
        load.go_on(chance.within(5..200) as usize);

        // Not waits for states: how long it sleeps, before and after.
        self.east.pause();
        let pauses = [&[0, 200, 800][..], &[0, 500, 1_500, 3_500]].map(|of| *chance.pick(of));
        std::thread::sleep(Duration::from_millis(pauses[0] + chance.below(200)));
        let done = carrick(&self.pair.west, &["failover", "--link", Pair::LINK, "--yes", &topic]);
        assert_eq!(
            (&done["applied"], &done["topics"][0]["outcome"]),
            (&true.into(), &"OPEN".into()),
            "{done:#}"
        );
        self.linked(&["write", &west, &topic, PARTITIONS, "2", "after"]);
        std::thread::sleep(
            Duration::from_millis(pauses[1] + chance.below(500)).max(Duration::from_millis(600)),
        );

        self.east.go_on();
        let woken_ms = now_ms();
        // Since when the link has been seen to stand without a break.
        let mut stands = Some(woken_ms);
        let acks = load.acks.clone();
        let refused = |partition: u64| told(&acks).iter().any(|it| it.partition == partition && !it.accepted);
        deadline("the old side to refuse writes", WITHIN, || {
            stands = if self.connected() { stands.or(Some(now_ms())) } else { None };
            (0..2).all(refused).then_some(())
        });
        let hears_ms = stands.unwrap_or_else(now_ms);
        std::thread::sleep(AFTER);
        load.acknowledged();
        load.finish();
        let told = told(&acks);
        for partition in 0..2 {
            let of_it: Vec<Told> = told.iter().copied().filter(|it| it.partition == partition).collect();
            let stopped = of_it.iter().position(|it| !it.accepted).unwrap();
            assert!(of_it[stopped].error == 6 && of_it[stopped].at_ms >= woken_ms, "{:?}", of_it[stopped]);
            assert_eq!(of_it.len(), stopped + 1, "{partition}: writes were taken after one was refused");
            let last = of_it[..stopped].last().map_or(0, |it| it.at_ms);
            assert!(
                last <= hears_ms + HEARS_MS,
                "{partition}: a write was taken {} ms after it heard",
                last - hears_ms
            );
        }
        let alone = told.iter().filter(|it| it.accepted && it.at_ms >= woken_ms).count();
        let stated = done["topics"][0]["partitions"].as_array().unwrap();
        self.stands_on_one_side(&topic, &acks, stated);
        println!("heard {} ms after it woke; {alone} writes were taken till then", hears_ms - woken_ms);
        alone
    }

    /// What was kept stands at both; the rest is the old side's own tail, and no less than was stated.
    fn stands_on_one_side(&self, topic: &str, acks: &Path, stated: &[Value]) {
        let kept = stated.iter().map(|it| it["end_offset"].to_string());
        let sides = self.python.script("clients/steady.py").args(["sides", &self.pair.east.kafka()]);
        let sides = sides.args([&self.pair.west.kafka(), topic]).arg(acks).args(kept).run(SOON);
        for (it, stated) in lines(&sides).iter().zip(stated) {
            let number =
                |of: &Value, key: &str| of[key].as_u64().unwrap_or_else(|| panic!("no {key} in {of}"));
            let lost = number(it, "end") - number(stated, "end_offset");
            assert!(
                number(stated, "lost_offsets_min") <= lost,
                "{lost} are not at west; stated was {stated}"
            );
            assert!(number(it, "acknowledged_behind") == 0 || lost > 0, "{it} and {stated}");
        }
    }
}

#[test]
fn an_old_primary_that_sleeps_through_a_failover_takes_no_write_once_it_can_hear_and_keeps_its_tail() {
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    let world = World { east, _west: west, python: &python, pair };
    // The link has work that goes on.
    world.linked(&["create", &world.pair.east.kafka(), "anchor", "1"]);
    world.pair.connect();
    world.pair.mirror(&["anchor"]);
    let alone: usize = cases(1, 4).map(|case| in_case(case, || world.sleeps_through_a_failover(case))).sum();
    println!("counted writes taken before it could hear: {alone}");
}
