//! A data directory of a whole node that somebody changed: what it may still show, and what it must say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use carrick_tests::{Node, Site, Talk, Telling, carrick_status, files, put, seen};
use serde_json::Value;

pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// How a start over it went.
#[derive(Debug, PartialEq, Eq)]
pub enum Went {
    /// All is there, and right.
    Whole,
    /// Some is not there; it is named.
    Named,
    /// The node does not start, and says why.
    Refused,
}

/// What is seen of a site compared with what should be: whether it is whole.
///
/// # Panics
/// If anything is seen that is wrong, or something is gone without an error in its place.
fn compare(told: &Value, wanted: &Value) -> bool {
    let or_refused = |what: &str, told: &Value, wanted: &Value| {
        let refused = told.get("refused").or_else(|| told.get("error")).is_some();
        assert!(refused || told == wanted, "{what} was {wanted}, is {told}");
        !refused
    };
    let mut whole = true;
    for what in ["links", "journal", "node"] {
        whole &= or_refused(what, &told[what], &wanted[what]);
    }
    let (told, wanted) = (&told["clients"], &wanted["clients"]);
    assert_eq!(told["cluster"], wanted["cluster"]);
    for kind in ["topics", "groups"] {
        let names = |of: &Value| of[kind].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(told), names(wanted), "{kind}");
    }
    for (group, wanted) in wanted["groups"].as_object().unwrap() {
        whole &= or_refused(group, &told["groups"][group], wanted);
    }
    for (topic, wanted) in wanted["topics"].as_object().unwrap() {
        let told = &told["topics"][topic];
        whole &= or_refused(topic, &told["configs"], &wanted["configs"]);
        let logs = |of: &Value| of["partitions"].as_array().unwrap().clone();
        assert_eq!(logs(told).len(), logs(wanted).len(), "partitions of {topic}");
        for (at, (told, wanted)) in logs(told).iter().zip(logs(wanted)).enumerate() {
            whole &= logs_agree(&format!("{topic}-{at}"), told, &wanted);
        }
    }
    whole
}

/// Whether all is there; nothing that is there is another.
fn logs_agree(name: &str, told: &Value, wanted: &Value) -> bool {
    let batches = |of: &Value| of["batches"].as_array().unwrap().clone();
    let known: BTreeMap<i64, Value> =
        batches(wanted).into_iter().map(|it| (it[0].as_i64().unwrap(), it)).collect();
    let all = batches(told);
    for it in &all {
        let should = known.get(&it[0].as_i64().unwrap());
        assert!(should == Some(it), "{name}: {it} is served, there was {should:?}");
    }
    assert!(
        told["start"].is_null() || told["start"] == wanted["start"],
        "{name} began at {}: {told:#}",
        wanted["start"]
    );
    assert!(
        told["end"].is_null() || told["end"].as_u64() <= wanted["end"].as_u64(),
        "{name} ended at {}: {told:#}",
        wanted["end"]
    );
    all.len() == known.len() && told["end"] == wanted["end"] && told["refused"] == wanted["refused"]
}

/// Starts a node over the files, and looks at all there is.
///
/// # Panics
/// If it shows anything wrong, or keeps silent about what it does not show, or deletes anything.
pub fn start_over(site: &Site, look: &mut Talk, files: &Files, wanted: &Value) -> Went {
    put(files, &site.data());
    site.forget();
    let _telling = Telling(site);
    let went = match site.try_start() {
        Err(status) => {
            assert!(status.code().is_some_and(|code| code > 0 && code != 101), "{status}");
            assert!(site.log().lines().any(|line| line.len() > 20), "it ended without a word: {status}");
            Went::Refused
        }
        Ok(node) => looked_at(site, look, node, wanted),
    };
    assert!(!site.log().contains("panicked"), "it panicked");
    nothing_is_deleted(site, files);
    went
}

fn looked_at(site: &Site, look: &mut Talk, mut node: Node, wanted: &Value) -> Went {
    let told = match seen(look, site) {
        Ok(told) => told,
        Err(why) => match node.status() {
            Some(status) if status.code().is_some_and(|code| code != 101) => return Went::Refused,
            status => panic!("it cannot be looked at, {status:?}: {why}"),
        },
    };
    let whole = compare(&told, wanted);
    let mirrors = |of: &Value| of["mirrors"].as_array().cloned().unwrap_or_default();
    for (told, wanted) in mirrors(&told).iter().zip(mirrors(wanted)) {
        let same = told["state"] == wanted["state"] || told["state"] == "FAILED" && told["reason"] != "";
        assert!(told["topic"] == wanted["topic"] && same, "{told:#} was {wanted:#}");
    }
    if whole {
        return Went::Whole;
    }
    let (_, status) = carrick_status(site);
    let listed = status["damaged"].as_array().is_some_and(|it| !it.is_empty());
    let log = site.log();
    let cut = log.contains("cut a torn tail");
    assert!(listed || cut || log.contains(" ERROR "), "nothing is named: {status:#}\n{told:#}");
    Went::Named
}

/// Segments are what they were, longer perhaps. What was cut off one stands aside, but for a torn batch at the very end.
fn nothing_is_deleted(site: &Site, before: &Files) {
    let after = files(&site.data());
    let aside = after.iter().filter(|(path, _)| path.extension().is_some_and(|it| it == "cut"));
    let aside: Vec<&Vec<u8>> = aside.map(|(_, bytes)| bytes).collect();
    for (path, was) in before.iter().filter(|(path, _)| path.extension().is_some_and(|it| it == "seg")) {
        let is = after.get(path).map_or(&[][..], Vec::as_slice);
        let same = was.iter().zip(is).take_while(|(was, is)| was == is).count();
        let name = site.data().join(path).display().to_string();
        let torn = site.log().lines().any(|line| line.contains("cut a torn tail") && line.contains(&name));
        let stands_aside = aside.iter().any(|it| it.ends_with(&was[same..]));
        assert!(
            same == was.len() || torn || stands_aside,
            "{name}: byte {same} of {} and what is behind it are gone",
            was.len()
        );
    }
}
