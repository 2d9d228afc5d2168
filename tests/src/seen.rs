//! All that clients and operators see of a site, without what is a matter of the moment.

use std::time::Duration;

use serde_json::{Value, json};

use crate::carrick::command;
use crate::{Site, Talk};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a command tells, or `{"refused": ..}`.
fn told(site: &Site, arguments: &[&str]) -> Value {
    let ended = command(site, arguments).args(["--output", "json"]).end(PATIENCE);
    if !ended.status.success() {
        return json!({ "refused": ended.stderr });
    }
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {ended:?}"))
}

/// Each of a list as `of` tells it; a refusal as it is.
fn each(list: Value, of: impl Fn(&Value) -> Value) -> Value {
    match list.as_array() {
        Some(list) => list.iter().map(of).collect(),
        None => list,
    }
}

/// `clients` as `look.py` sees everything, `links`, `mirrors`, `journal`, `cluster`.
pub fn seen(look: &mut Talk, site: &Site) -> Result<Value, String> {
    let mirror = |it: &Value| {
        let ends: Vec<_> =
            it["partitions"].as_array().unwrap().iter().map(|it| it["log_end"].clone()).collect();
        // A link that is down shows in it.
        let state = if it["state"] == "SOURCE_UNAVAILABLE" { "ACTIVE".into() } else { it["state"].clone() };
        json!({ "topic": it["topic"], "state": state, "reason": it["reason"], "ends": ends })
    };
    let node = told(site, &["node"]);
    Ok(json!({
        "clients": look.try_ask(&["everything", &site.kafka()])?,
        "links": each(told(site, &["link", "list"]), |it| json!([it["name"], it["peer"]])),
        "mirrors": each(told(site, &["mirror", "list"]), mirror),
        "journal": each(told(site, &["journal"]), |it| json!([it["who"], it["what"]])),
        "node": node.get("cluster_id").unwrap_or(&node),
    }))
}
