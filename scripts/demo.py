"""What scripts/demo runs: two sites, a producer, a mirror, a kill. Words on stderr; the last line, on stdout, is the result."""

import base64, json, os, pathlib, shutil, signal, struct, subprocess, sys, tempfile, threading, time

from confluent_kafka import Consumer, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
BEGAN = time.monotonic()
TOPICS = {"orders": 12, "payments": 4, "audit.log": 1}
QUIET = {"log_level": 0}  # librdkafka's words about a killed site are expected
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def say(words):
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {words}", file=sys.stderr, flush=True)


class Site:
    """One `carrickd dev` on loopback. Its ports are drawn by the first start and kept by the others."""

    def __init__(self, home, name):
        self.home, self.name, self.data = home, name, home / name
        self.kafka, self.link = "127.0.0.1:0", "127.0.0.1:0"

    def start(self):
        pki = self.home / "pki"
        command = [BIN / "carrickd", "dev", "--data", self.data]
        command += ["--kafka-port", self.kafka.split(":")[1], "--link-port", self.link.split(":")[1]]
        command += ["--http-port", "0"]
        command += ["--cert", pki / f"{self.name}.pem", "--key", pki / f"{self.name}.key", "--ca", pki / "ca.pem"]
        log = open(self.home / f"{self.name}.log", "a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "kafka":
                self.kafka = words[-1]
            elif words[0] == "link":
                self.link = words[-1]
            elif words[0] == "ready":
                return
        sys.exit(f"{self.name} did not start: see {log.name}\n" + pathlib.Path(log.name).read_text()[-2000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(15) != 0:
            sys.exit(f"{self.name} did not end cleanly")

    def carrick(self, *arguments):
        command = [BIN / "carrick", "--node", self.data, *arguments, "--output", "json"]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"carrick {' '.join(map(str, arguments))} failed:\n{ran.stderr}")
        return json.loads(ran.stdout)


class Load:
    """Ordinary idempotent producers, one per codec, that keep writing until told to stop and count what was acknowledged."""

    def __init__(self, address):
        self.acknowledged, self.failed, self.stopping = 0, [], False
        self.producers = [
            Producer({"bootstrap.servers": address, "enable.idempotence": True, "compression.type": codec,
                      "linger.ms": 5, "message.timeout.ms": 60000} | QUIET)
            for codec in CODECS
        ]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def told(self, error, _message):
        if error:
            self.failed.append(error)
        else:
            self.acknowledged += 1

    def run(self):
        value = b"carrick joins two logs; " * 40
        number = 0
        while not self.stopping:
            for producer in self.producers:
                for topic, partitions in TOPICS.items():
                    try:
                        key = f"{number:012d}"
                        partition = number // len(TOPICS) % partitions
                        producer.produce(topic, value[: 100 + number % 800], key, partition, self.told)
                        number += 1
                    except BufferError:
                        producer.poll(0.05)
                producer.poll(0)
            time.sleep(0.0005)

    def abandon(self):
        """Their site is gone: what they still hold was never acknowledged."""
        self.stopping = True
        self.thread.join()
        for producer in self.producers:
            producer.purge()
            producer.flush(5)

    def stop(self):
        self.stopping = True
        self.thread.join()
        for producer in self.producers:
            if producer.flush(60) != 0:
                sys.exit("the producers were not told about every record within a minute")
        if self.failed:
            sys.exit(f"{len(self.failed)} records were refused, first: {self.failed[0]}")


class Readers:
    """An ordinary consumer group of two members that reads everything and commits as it goes."""

    def __init__(self, address):
        self.read, self.stopping = 0, False
        self.consumers = [group_member(address) for _ in range(2)]
        self.threads = [threading.Thread(target=self.run, args=(it,), daemon=True) for it in self.consumers]
        for consumer, thread in zip(self.consumers, self.threads):
            consumer.subscribe(list(TOPICS))
            thread.start()

    def run(self, consumer):
        while not self.stopping:
            for message in consumer.consume(500, 0.1):
                self.read += message.error() is None

    def abandon(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def group_member(address):
    return Consumer({"bootstrap.servers": address, "group.id": "billing", "auto.offset.reset": "earliest",
                     "auto.commit.interval.ms": 200} | QUIET)


def partitions():
    return [TopicPartition(topic, it) for topic, count in TOPICS.items() for it in range(count)]


def go_on(site):
    """The group's positions at a site, and whether its next record there is the one at its position."""
    member = group_member(site.kafka)
    positions = {(it.topic, it.partition): it.offset for it in member.committed(partitions(), 30) if it.offset >= 0}
    member.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()])
    first = {}
    deadline = time.monotonic() + 10
    ends = {at: member.get_watermark_offsets(TopicPartition(*at), 10)[1] for at in positions}
    waiting = {at for at in positions if positions[at] < ends[at]}
    while waiting - set(first) and time.monotonic() < deadline:
        for message in member.consume(500, 0.2):
            if message.error() is None:
                first.setdefault((message.topic(), message.partition()), message.offset())
    wrong = {at: (first.get(at), positions[at]) for at in waiting if first.get(at) != positions[at]}
    if wrong or any(positions[at] > ends[at] for at in positions):
        sys.exit(f"the group does not go on where it was: {wrong} {positions} {ends}")
    return positions


def until(what, holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {seconds} s: {what}")
        time.sleep(0.1)
    return found


def caught_up(west):
    """The mirrors of every partition hold what their source had when it was last heard."""
    mirrors = west.carrick("mirror", "list")
    partitions = [it for mirror in mirrors for it in mirror["partitions"]]
    behind = [it for it in partitions if it["source_high_watermark"] is None or it["high_watermark"] < it["source_high_watermark"]]
    return mirrors if len(mirrors) == len(TOPICS) and not behind else None


def show(data):
    """What the independent reader finds; a killed site's last batch may be torn."""
    lines = subprocess.run([sys.executable, ROOT / "tests" / "reader.py", "show", data], capture_output=True, text=True)
    if not lines.stdout:
        sys.exit(f"the independent reader finds nothing in {data}:\n{lines.stderr}")
    return [json.loads(line) for line in lines.stdout.splitlines()]


def ids(site):
    """Topic ids by name, asked of the node as any client would."""
    admin = AdminClient({"bootstrap.servers": site.kafka} | QUIET)
    described = admin.describe_topics(TopicCollection(list(TOPICS)))
    found = {name: future.result().topic_id for name, future in described.items()}
    packed = {name: struct.pack(">qq", it.get_most_significant_bits(), it.get_least_significant_bits()) for name, it in found.items()}
    return {name: base64.urlsafe_b64encode(it).decode().rstrip("=") for name, it in packed.items()}


def compare(east, west, pairs):
    """Every batch of both, byte for byte, by a reader that shares no code with Carrick; and what one side has alone."""
    command = [sys.executable, ROOT / "tests" / "reader.py", "compare", east, west]
    ran = subprocess.run([*command, *(f"{a}={b}" for a, b in pairs)], capture_output=True, text=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    if not lines:
        sys.exit(f"the independent reader compared nothing:\n{ran.stderr}")
    total = lambda key: sum(it[key] for it in lines)
    both = {key: total(key) for key in ("batches", "bytes", "bytes_differing")}
    both["records"] = sum(it["records"] for it in show(west) if it["topic"] in dict((b, a) for a, b in pairs))
    return both, {"batches": total("only_a"), "at_west": total("bytes_only_b")}


def ends(east, west, pairs):
    """The ends of each partition at both sites."""
    found = [{(it["topic"], it["partition"]): it["end"] for it in show(data)} for data in (east, west)]
    for a, b in pairs:
        for topic, partition in found[0]:
            if topic == a:
                yield found[0][topic, partition], found[1].get((b, partition), 0)


def main():
    keep = "--keep" in sys.argv
    home = pathlib.Path(tempfile.mkdtemp(prefix="carrick-demo-"))
    sites = [Site(home, "east"), Site(home, "west")]
    try:
        run(home, *sites)
    finally:
        for site in sites:
            if getattr(site, "process", None) and site.process.poll() is None:
                site.kill()
        if keep:
            say(f"data and logs stay in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


def run(home, east, west):
    carrick = lambda *words: subprocess.run([BIN / "carrick", *words], check=True, capture_output=True)
    carrick("pki", "ca", "--out", home / "pki")
    for site in (east, west):
        carrick("pki", "cert", "--ca", home / "pki", "--out", home / "pki", "--name", site.name, "--role", "link", "--host", "127.0.0.1")
        site.start()
        say(f"{site.name}: Kafka clients at {site.kafka}, peers at {site.link}")

    admin = AdminClient({"bootstrap.servers": east.kafka} | QUIET)
    for future in admin.create_topics([NewTopic(name, count, 1) for name, count in TOPICS.items()]).values():
        future.result()
    load = Load(east.kafka)
    say(f"producers with {', '.join(CODECS)} write to {len(TOPICS)} topics at east")
    readers = Readers(east.kafka)

    west.carrick("link", "create", "east-west", "--peer", east.link)
    until("the link connects", lambda: west.carrick("link", "list")[0]["state"] == "CONNECTED")
    west.carrick("mirror", "create", "--link", "east-west", *TOPICS)
    say("west mirrors them")
    until("the mirrors are active", lambda: all(it["state"] == "ACTIVE" for it in west.carrick("mirror", "list")))
    time.sleep(2)

    east.kill()
    say(f"east was killed (SIGKILL) under load, {load.acknowledged} records acknowledged so far")
    time.sleep(1)
    east.start()
    say("east is back; the clients go on by themselves")
    before, read = load.acknowledged, readers.read
    until("producing goes on", lambda: load.acknowledged > before + 20000)
    until("reading goes on", lambda: readers.read > read + 20000)
    looking = group_member(east.kafka)
    until("the group commits everywhere", lambda: all(it.offset >= 0 for it in looking.committed(partitions(), 10)))
    time.sleep(1)
    pairs = list(zip(ids(east).values(), ids(west).values()))
    east.kill()
    kept = load.acknowledged
    say(f"east dies for good (SIGKILL) under load, {kept} records acknowledged")
    load.abandon()
    readers.abandon()

    plan = west.carrick("failover", "--link", "east-west", "--dry-run")
    say(f"the plan: {losses(plan)}")
    began = time.monotonic()
    west.carrick("failover", "--link", "east-west", "--yes")
    opened = time.monotonic()
    # As the failover left it, for the comparison: the clock stands still meanwhile.
    mirrored = shutil.copytree(west.data / "topics", home / "west-mirrored" / "topics").parent
    copied = time.monotonic() - opened
    first_write(west)
    failover_ms = int((time.monotonic() - began - copied) * 1000)
    say(f"west is open and was written to, {failover_ms} ms after the command")
    carried = go_on(west)
    say(f"the group goes on at west from its own {len(carried)} positions; it had read {readers.read} records at east")
    for line in west.carrick("journal")[-2:]:
        say(f"journal: {line['what']}")

    compared, alone = compare(east.data, mirrored, pairs)
    stated = sum(it["lost_offsets_min"] or 0 for topic in plan["topics"] for it in topic["partitions"])
    lost = sum(before - after for before, after in ends(east.data, mirrored, pairs))
    say(f"east alone has {alone['batches']} batches, {lost} records; the statement said at least {stated}")
    differing = compared["bytes_differing"] + alone["at_west"]
    if stated > lost:
        sys.exit("the loss statement said more than was lost")
    west.stop()
    print(
        f"records mirrored {compared['records']}, bytes compared {compared['bytes']}, differing bytes {differing}, "
        f"group positions carried {len(carried)}, records lost {lost} (stated: at least {stated}), failover {failover_ms} ms"
    )
    if differing or len(carried) != len(partitions()):
        sys.exit("something is not as it should be")


def losses(plan):
    partitions = [it for topic in plan["topics"] for it in topic["partitions"]]
    unknown = sum(it["lost_offsets_min"] is None for it in partitions)
    offsets = sum(it["lost_offsets_min"] or 0 for it in partitions)
    size = sum(it["lost_bytes_max"] or 0 for it in partitions)
    heard = max((it["heard_ms"] or 0 for it in partitions), default=0)
    return f"{len(plan['topics'])} topics, at least {offsets} records lost, at most {size} bytes known of, {unknown} partitions unknown; east was heard {heard} ms ago"


def first_write(site):
    """An ordinary producer that is pointed at the site writes one record to each topic."""
    told = []
    producer = Producer({"bootstrap.servers": site.kafka, "enable.idempotence": True} | QUIET)
    for topic in TOPICS:
        producer.produce(topic, b"after the failover", b"first", 0, lambda error, _: told.append(error))
    if producer.flush(30) or any(told):
        sys.exit(f"west does not take writes: {told}")


try:
    main()
    code = 0
except SystemExit as stop:
    code = stop.code if isinstance(stop.code, int) else 1
    if not isinstance(stop.code, int):
        print(stop.code, file=sys.stderr)
sys.stdout.flush()
# Clients of a site that is gone would wait for it.
os._exit(code)
