//! One flipped bit in any file of a whole data directory: what is served is right, what is not served is named, and nothing is
//! deleted. The directories are the golden ones.

use std::collections::BTreeMap;
use std::path::Path;

use carrick_tests::{Chance, Pki, Python, Site, Talk, cases, hold, kept};
use serde_json::Value;

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
        let alike: Vec<_> =
            self.files.iter().filter(|it| kind(it.0) == *kind_of_it && !it.1.is_empty()).collect();
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
