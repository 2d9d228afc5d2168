use super::*;

const GOOD: &str = r#"
[node]
data = "/var/lib/carrick"
durability = "os"
memory = "64MiB"

[[listener]]
name = "internal"
bind = "127.0.0.1:9092"

[[listener]]
name = "outside"
bind = "0.0.0.0:9094"
advertised = "kafka.east.example:9094"
allow_unauthenticated = true

[kafka]
num.partitions = 3
"auto.create.topics.enable" = true
"#;

#[test]
fn a_good_file_is_read_whole() {
    let settings = parse(GOOD).unwrap();
    assert_eq!(settings.durability, Durability::Os);
    assert_eq!(settings.memory_bytes, 64 << 20);
    assert_eq!((settings.broker.num_partitions, settings.broker.auto_create_topics), (3, true));
    let addresses: Vec<_> =
        settings.listeners.iter().map(|it| (it.advertised_host.as_str(), it.advertised_port)).collect();
    assert_eq!(addresses, [("127.0.0.1", 9092), ("kafka.east.example", 9094)]);
}

#[test]
fn a_listener_speaks_tls_and_certificates_are_authentication_enough() {
    let listener = |more: &str| {
        let name = "name = \"outside\"\nbind = \"0.0.0.0:9094\"\nadvertised = \"kafka.east.example:9094\"\n";
        parse(&format!("[node]\ndata = \"d\"\n[[listener]]\n{name}{more}"))
    };
    let tls = "protocol = \"tls\"\ntls.cert = \"a.pem\"\ntls.key = \"a.key\"\n";
    let settings = listener(&format!("{tls}tls.client_ca = \"ca.pem\"")).unwrap();
    let wanted = Files { cert: "a.pem".into(), key: "a.key".into(), ca: Some("ca.pem".into()) };
    assert_eq!(settings.listeners[0].tls.as_ref(), Some(&wanted));
    let settings = listener(&format!("{tls}allow_unauthenticated = true")).unwrap();
    assert!(settings.listeners[0].tls.as_ref().is_some_and(|it| it.ca.is_none()));

    let faults = |more: &str| listener(more).unwrap_err();
    assert!(
        faults(tls)[0].starts_with("listener[0].bind: anyone who reaches"),
        "a server's certificate alone"
    );
    let open = "allow_unauthenticated = true\n";
    assert_eq!(
        faults(&format!("{open}protocol = \"tls\"\ntls.cert = 7\ntls.colour = \"red\"")),
        [
            "listener[0].tls.cert = 7: a PEM file is wanted",
            "listener[0].tls.key: is missing: a PEM file is wanted",
            "listener[0].tls.colour: there is no such key",
        ]
    );
    assert_eq!(
        faults(&format!("{open}tls.cert = \"a.pem\"")),
        ["listener[0].tls: has no effect without protocol = \"tls\""]
    );
}

#[test]
fn every_fault_is_reported_at_once() {
    let bad = r#"
surprise = 1
[node]
durability = "maybe"
memory = "1KB"
colour = "red"
[[listener]]
name = "a"
bind = "0.0.0.0:9092"
[[listener]]
name = "a"
bind = "nowhere"
protocol = "telnet"
[kafka]
num.partitions = "many"
x.y = 1
"#;
    let faults = parse(bad).unwrap_err();
    for part in [
        "surprise: there is no such key",
        "node.data: is missing",
        "node.durability = \"maybe\"",
        "node.memory = \"1KB\"",
        "node.colour: there is no such key",
        "listener[0].bind: anyone who reaches this address",
        "listener[0].advertised: 0.0.0.0 is no address",
        "listener[1].bind = \"nowhere\"",
        "listener[1].protocol = \"telnet\"",
        "kafka.num.partitions",
        "kafka.x.y: there is no such setting",
    ] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part} in {faults:#?}");
    }
    assert_eq!(faults.len(), 11, "{faults:#?}");
}

#[test]
fn two_listeners_of_one_name_are_refused() {
    let twice = GOOD.replace("outside", "internal");
    assert_eq!(parse(&twice).unwrap_err(), ["listener.name: two listeners are named \"internal\""]);
}

#[test]
fn sizes_have_units() {
    let bytes = |text: &str| reader::bytes(&toml::Value::String(text.into()));
    assert_eq!((bytes("64MiB"), bytes("3 KiB"), bytes("7")), (Some(64 << 20), Some(3072), Some(7)));
    assert_eq!((bytes("64MB"), bytes("-1"), bytes("99999999999GiB"), bytes("")), (None, None, None, None));
}

#[test]
fn times_have_units() {
    let time = |text: &str| reader::duration(&toml::Value::String(text.into())).map(|it| it.as_millis());
    assert_eq!(
        [time("250ms"), time("30 s"), time("5m"), time("2h")].map(Option::unwrap),
        [250, 30_000, 300_000, 7_200_000]
    );
    for bad in ["", "5", "5min", "-1s", "ms", "1.5s", "99999999999999999999s", "9999999999999999999h"] {
        assert_eq!(time(bad), None, "{bad}");
    }
}

#[test]
fn retention_looks_every_five_minutes_unless_it_is_said() {
    let check = |line: &str| parse(&GOOD.replace("[node]", &format!("[node]\n{line}")));
    assert_eq!(check("").unwrap().retention_check, Duration::from_secs(300));
    assert_eq!(check("retention_check = \"200ms\"").unwrap().retention_check, Duration::from_millis(200));
    for bad in ["\"99ms\"", "\"25h\"", "\"soon\"", "5"] {
        let faults = check(&format!("retention_check = {bad}")).unwrap_err();
        assert_eq!(
            faults,
            [format!("node.retention_check = {bad}: a time from \"100ms\" to \"24h\" is wanted")]
        );
    }
}

#[test]
fn health_and_metrics_stay_on_loopback_unless_it_is_said() {
    let http = |table: &str| parse(&format!("{GOOD}[http]\n{table}")).map(|it| it.http);
    assert_eq!(parse(GOOD).unwrap().http, None);
    assert_eq!(http("bind = \"127.0.0.1:9592\"").unwrap(), Some("127.0.0.1:9592".parse().unwrap()));
    assert_eq!(http("bind = \"[::1]:0\"").unwrap(), Some("[::1]:0".parse().unwrap()));
    let open = "bind = \"0.0.0.0:9592\"\n";
    assert!(http(&format!("{open}allow_unauthenticated = true")).unwrap().is_some());
    let faults = http(&format!("{open}colour = \"red\"")).unwrap_err();
    assert!(faults[0].starts_with("http.bind: anyone who reaches"), "{faults:?}");
    assert_eq!(faults[1..], ["http.colour: there is no such key"]);
    let faults = http("bind = 9592").unwrap_err();
    assert_eq!(faults, ["http.bind = 9592: an address and a port, such as \"127.0.0.1:9592\" is wanted"]);
}
