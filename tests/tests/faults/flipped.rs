//! One flipped bit in any file of a whole data directory: what is served is right, what is not served is named, and nothing is
//! deleted. The directories are the golden ones.

use std::collections::BTreeMap;
use std::path::Path;

use carrick_tests::{
    Chance, Node, Pki, Python, Site, Talk, Telling, carrick, carrick_status, cases, deadline, hold, kept,
    put, until,
};
use serde_json::Value;

use crate::SOON;
use crate::wounds::{Files, Went, start_over};

const ENDS: [&str; 2] = ["clean", "unclean"];
/// Groups of that directory never expire.
const FOREVER: [&str; 2] = ["--kafka", "offsets.retention.minutes=2147483647"];

/// What a file is: its extension, or its name without a number.
fn kind(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let extension = path.extension().map(|it| it.to_str().unwrap());
    extension.unwrap_or_else(|| name.split('-').next().unwrap()).to_owned()
}

struct Golden {
    files: Files,
    seen: Value,
    /// Segments thrice: there is most in them.
    kinds: Vec<String>,
}

impl Golden {
    fn of(end: &str) -> Self {
        let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/layout-1");
        let seen = serde_json::from_slice(&std::fs::read(at.join(format!("{end}.json"))).unwrap()).unwrap();
        let files = kept(&at.join(end));
        let mut kinds: Vec<String> =
            files.iter().filter(|it| !it.1.is_empty()).map(|it| kind(it.0)).collect();
        kinds.sort();
        kinds.dedup();
        kinds.extend(["seg", "seg"].map(String::from));
        Self { files, seen, kinds }
    }

    fn flip(&self, chance: &mut Chance) -> (String, Files) {
        let kind_of_it = chance.pick(&self.kinds);
        self.flip_in(chance, |path| kind(path) == *kind_of_it)
    }

    fn flip_in(&self, chance: &mut Chance, one: impl Fn(&Path) -> bool) -> (String, Files) {
        let alike: Vec<_> = self.files.iter().filter(|it| one(it.0) && !it.1.is_empty()).collect();
        let (path, bytes) = *chance.pick(&alike);
        let (byte, bit) = (chance.below(bytes.len() as u64) as usize, chance.below(8));
        let mut files = self.files.clone();
        files.get_mut(path).unwrap()[byte] ^= 1 << bit;
        (format!("{} byte {byte} bit {bit}", path.display()), files)
    }
}

#[test]
fn a_flipped_bit_in_any_file_of_a_node_is_served_to_nobody_and_named() {
    let Some(python) = Python::plain() else { return };
    let pki = Pki::new();
    let site = Site::linked(&pki.node("west")).and(&FOREVER);
    let mut look = Talk::look(&python);
    let golden = ENDS.map(Golden::of);
    for it in &golden {
        assert_eq!(start_over(&site, &mut look, &it.files, &it.seen), Went::Whole, "with no bit flipped");
    }
    let mut counts = BTreeMap::<String, [u64; 3]>::new();
    hold(cases(6, 100), |case| {
        let mut chance = Chance::of(case);
        let which = chance.below(2) as usize;
        let (what, files) = golden[which].flip(&mut chance);
        println!("case {case} is {}: {what}", ENDS[which]);
        let went = start_over(&site, &mut look, &files, &golden[which].seen);
        let kind = what.split(' ').next().map(|it| kind(Path::new(it))).unwrap();
        counts.entry(format!("{kind} {}", ENDS[which])).or_default()[went as usize] += 1;
    });
    let mut all = [0; 3];
    for (kind, of_it) in counts {
        println!("{kind}: {} whole, {} named, {} refused", of_it[0], of_it[1], of_it[2]);
        all = [0, 1, 2].map(|at| all[at] + of_it[at]);
    }
    for (what, count) in ["whole", "damage named", "starts refused"].iter().zip(all) {
        println!("counted {what}: {count}");
    }
}

/// A site that mirrors `own` of another one, and begins with nothing each time.
struct Mirroring<'a> {
    source: &'a Site,
    north: Site,
    look: Talk,
}

impl Mirroring<'_> {
    /// Whether the mirror is whole; what stands there is what stood at the source before a bit was flipped.
    fn over(&mut self, files: &Files, wanted: &Value) -> bool {
        put(files, &self.source.data());
        put(&Files::new(), &self.north.data());
        self.source.forget();
        self.north.forget();
        let _telling = (Telling(self.source), Telling(&self.north));
        let nodes = [self.source.start(), self.north.start()];
        carrick(&self.north, &["link", "create", "from-west", "--peer", &self.source.link()]);
        until(&self.north, "link", "from-west", SOON, |it| it["state"] == "CONNECTED");
        carrick(&self.north, &["mirror", "create", "--link", "from-west", "own"]);
        let mut own = |site: &Site| {
            let told = self.look.ask(&["everything", &site.kafka()]);
            told["topics"]["own"]["partitions"].as_array().cloned().unwrap_or_default()
        };
        let ends = |logs: &[Value]| logs.iter().map(|it| it["end"].clone()).collect::<Vec<_>>();
        let whole = deadline("the mirror to be whole, or somebody to say why not", SOON, || {
            let mirror = carrick(&self.north, &["mirror", "list"])[0].clone();
            // It waits for its source to be mended: the lists say so and why, and its lag is not known.
            let unknown =
                mirror["partitions"].as_array().unwrap().iter().any(|it| it["lag_offsets"].is_null());
            let reason = mirror["reason"].as_str().unwrap();
            let waits = unknown && reason.starts_with("SOURCE_DAMAGED: ") && reason.contains("LOG_CORRUPT");
            let loud = mirror["state"] == "FAILED" && !reason.is_empty() || waits;
            if loud {
                let (well, status) = carrick_status(&self.north);
                let blocked = &status["links"][0]["blocked"][0];
                assert!(!well && blocked["topic"] == "own" && blocked["code"] != "", "{status:#}");
            }
            let whole = mirror["state"] == "ACTIVE" && ends(&own(self.source)) == ends(&own(&self.north));
            (loud || whole).then_some(whole)
        });
        let wanted = wanted["clients"]["topics"]["own"]["partitions"].as_array().unwrap();
        for (at, (there, wanted)) in own(&self.north).iter().zip(wanted).enumerate() {
            let known = wanted["batches"].as_array().unwrap();
            let strange = there["batches"].as_array().unwrap().iter().find(|it| !known.contains(it));
            assert_eq!(strange, None, "own-{at}: it stands at the mirror and was never at its source");
        }
        if whole {
            let served = own(self.source).iter().map(|it| it["batches"].clone()).collect::<Vec<_>>();
            let there = own(&self.north).iter().map(|it| it["batches"].clone()).collect::<Vec<_>>();
            assert_eq!(there, served, "the mirror has not what its source serves, and nobody says so");
        }
        nodes.into_iter().for_each(Node::kill);
        whole
    }
}

#[test]
fn a_flipped_bit_under_a_source_is_mirrored_to_nobody_and_told_there() {
    let Some(python) = Python::plain() else { return };
    let pki = Pki::new();
    let source = Site::linked(&pki.node("west")).and(&FOREVER);
    let mut look = Talk::look(&python);
    let golden = ENDS.map(Golden::of);
    put(&golden[0].files, &source.data());
    let node = source.start();
    let own = look.ask(&["topic_id", &source.kafka(), "own"]).as_str().unwrap().to_owned();
    node.kill();
    let mut mirroring = Mirroring { source: &source, north: Site::linked(&pki.node("north")), look };
    let mut all = [0, 0];
    hold(cases(1, 8), |case| {
        let mut chance = Chance::of(case);
        let which = chance.below(2) as usize;
        let (what, files) =
            golden[which].flip_in(&mut chance, |path| path.starts_with(Path::new("topics").join(&own)));
        println!("case {case} is {}: {what}", ENDS[which]);
        all[usize::from(mirroring.over(&files, &golden[which].seen))] += 1;
    });
    println!("counted mirrors whole: {}\ncounted mirrors that say why not: {}", all[1], all[0]);
}
