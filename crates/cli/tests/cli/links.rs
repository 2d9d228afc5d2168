//! Links, mirrors, the node.

use crate::carrick;
use crate::fake::Node;

fn of(node: &Node, arguments: &[&str]) -> crate::Said {
    let path = node.path().display().to_string();
    carrick(&[arguments, &["--node", &path]].concat())
}

#[test]
fn a_link_is_made_with_an_id_that_is_said_before_and_an_undo_after() {
    let node = Node::new();
    let create = ["link", "create", "west", "--peer", "west.example:9590", "--connections", "8"];
    let said = of(&node, &create).done();
    assert_eq!(said.stdout, "a link west to west.example:9590 over 8 connections\n");
    let id = said.stderr.lines().next().unwrap().strip_prefix("request id ").unwrap().to_string();
    assert!(said.stderr.ends_with("done\nto take it back: carrick link delete west\n"), "{said:?}");
    // The same id, again, is the same request.
    let again = of(&node, &[&create[..], &["--request-id", &id, "--output", "json"]].concat()).done();
    assert_eq!(
        (again.json()["request_id"].as_str().unwrap(), again.json()["applied"].as_bool().unwrap()),
        (&*id, true)
    );
    let mutations = node.book.mutations.lock().unwrap().clone();
    assert_eq!(mutations[0].request_id.len(), 16);
    assert_eq!(mutations[0], mutations[1]);
}

#[test]
fn a_dry_run_says_the_plan_and_nothing_else() {
    let node = Node::new();
    let said = of(&node, &["link", "create", "west", "--peer", "west.example:9590", "--dry-run"]).done();
    assert_eq!(said.stdout, "a link west to west.example:9590 over 0 connections\n");
    assert_eq!(said.stderr, "nothing was done: --dry-run\n");
    assert!(node.book.mutations.lock().unwrap()[0].dry_run);
}

#[test]
fn a_refusal_is_the_nodes_and_a_lost_answer_names_the_id_again() {
    let node = Node::new();
    let said = of(&node, &["link", "create", "taken", "--peer", "w:1"]).failed(1);
    assert!(
        said.stderr.contains("error: a link taken is there already\n next: carrick link list"),
        "{said:?}"
    );
    let said = of(&node, &["link", "create", "lost", "--peer", "w:1", "--connections", "2"]).failed(1);
    let id = said.stderr.lines().next().unwrap().strip_prefix("request id ").unwrap();
    let next = format!("next: carrick link create lost --peer w:1 --connections 2 --request-id {id}  (");
    assert!(said.stderr.contains(&next), "{said:?}");
}

#[test]
fn lists_say_what_is_not_known() {
    let node = Node::new();
    let said = of(&node, &["link", "list"]).done();
    assert_eq!(
        said.stdout,
        "NAME        PEER               STATE       HEARD      REASON\n\
         west        west.example:9590  CONNECTING  0.4 s ago  its certificate?expired\n\
         north-east  west.example:9590  CONNECTING  never      its certificate?expired\n"
    );
    let said = of(&node, &["mirror", "list"]).done();
    assert_eq!(
        said.stdout,
        "TOPIC   LINK  STATE   PARTITION  LOG-START  HIGH-WATERMARK  LAG               HEARD      REASON\n\
         orders  west  ACTIVE  0          5          90              10, 512 B, 40 ms  1.2 s ago\n\
         orders  west  ACTIVE  1          5          90              unknown           never\n"
    );
    let json = of(&node, &["mirror", "list", "--output", "json"]).done().json();
    let lags: Vec<_> =
        json[0]["partitions"].as_array().unwrap().iter().map(|it| &it["lag_offsets"]).collect();
    assert_eq!(*lags[0], 10);
    assert!(lags[1].is_null());
    let said = of(&node, &["mirror", "list", "--link", "none"]).done();
    assert!(said.stderr.contains("carrick mirror create"), "{said:?}");
}

#[test]
fn mirrors_are_planned_one_by_one() {
    let node = Node::new();
    let said = of(&node, &["mirror", "create", "--link", "west", "a", "b.c"]).done();
    assert_eq!(
        said.stdout,
        "TOPIC  PARTITIONS  OUTCOME  MESSAGE\na      3           CREATE\nb.c    3           CREATE\n"
    );
    let said = of(&node, &["mirror", "create", "--link", "west", "a", "bad"]).failed(1);
    assert!(said.stderr.contains("1 of 2 topics cannot be mirrored"), "{said:?}");
    of(&node, &["mirror", "create", "--link", "west", "orders.*"]).done();
    of(&node, &["mirror", "create", "--link", "west", "a", "orders.*"]).failed(2);
    assert_eq!(node.book.mutations.lock().unwrap().len(), 3);
}

#[test]
fn a_node_is_found_by_its_directory_its_socket_and_the_environment() {
    let node = Node::new();
    assert_eq!(of(&node, &["node"]).done().stdout, "CLUSTER  NODE  VERSION\nc        n     0.1.0\n");
    let socket = node.path().join("admin.sock").display().to_string();
    assert_eq!(carrick(&["node", "--node", &socket, "--output", "json"]).done().json()["node_id"], "n");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_carrick"));
    assert!(command.arg("node").env("CARRICK_NODE", node.path()).output().unwrap().status.success());
    let said = carrick(&["node", "--node", "/nowhere/at/all"]).failed(1);
    assert!(said.stderr.contains("no node answers on /nowhere/at/all/admin.sock"), "{said:?}");
}

#[test]
fn words_that_mean_nothing_are_code_two() {
    for bad in [
        &["link"][..],
        &["link", "create", "x"],
        &["link", "create", "x", "--peer", "nowhere"],
        &["link", "create", "x", "--peer", "a:1", "--connections", "17"],
        &["link", "create", "x", "--peer", "a:1", "--request-id", "7"],
        &["mirror", "create", "--link", "west"],
        &["fly"],
    ] {
        assert_eq!(carrick(bad).code, 2, "{bad:?}");
    }
    assert_eq!(carrick(&["--help"]).code, 0);
}
