"""What scripts/demo runs: two sites, a producer, a mirror, a kill. Words on stderr; the last line, on stdout, is the result."""

import base64, json, pathlib, shutil, signal, struct, subprocess, sys, tempfile, threading, time

from confluent_kafka import Producer, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "target" / "debug"
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
                        producer.produce(topic, value[: 100 + number % 800], key, number % partitions, self.told)
                        number += 1
                    except BufferError:
                        producer.poll(0.05)
                producer.poll(0)
            time.sleep(0.0005)

    def stop(self):
        self.stopping = True
        self.thread.join()
        for producer in self.producers:
            if producer.flush(60) != 0:
                sys.exit("the producers were not told about every record within a minute")
        if self.failed:
            sys.exit(f"{len(self.failed)} records were refused, first: {self.failed[0]}")


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


def show(site):
    lines = subprocess.run([sys.executable, ROOT / "tests" / "reader.py", "show", site.data], capture_output=True, text=True)
    if lines.returncode != 0:
        sys.exit(f"the independent reader finds fault with {site.name}:\n{lines.stderr}")
    return [json.loads(line) for line in lines.stdout.splitlines()]


def ids(site):
    """Topic ids by name, asked of the node as any client would."""
    admin = AdminClient({"bootstrap.servers": site.kafka} | QUIET)
    described = admin.describe_topics(TopicCollection(list(TOPICS)))
    found = {name: future.result().topic_id for name, future in described.items()}
    packed = {name: struct.pack(">qq", it.get_most_significant_bits(), it.get_least_significant_bits()) for name, it in found.items()}
    return {name: base64.urlsafe_b64encode(it).decode().rstrip("=") for name, it in packed.items()}


def compare(east, west, pairs):
    command = [sys.executable, ROOT / "tests" / "reader.py", "compare", east.data, west.data]
    ran = subprocess.run([*command, *(f"{a}={b}" for a, b in pairs)], capture_output=True, text=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    if ran.returncode != 0 or not lines:
        print(ran.stdout, ran.stderr, file=sys.stderr)
    return sum(it["bytes"] for it in lines), sum(it["bytes_differing"] for it in lines) + ran.returncode


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
    say("east is back; the producers go on by themselves")
    before = load.acknowledged
    until("producing goes on", lambda: load.acknowledged > before + 5000)
    load.stop()
    say(f"the producers stop: {load.acknowledged} records acknowledged")

    until("the mirrors catch up", lambda: caught_up(west))
    pairs = list(zip(ids(east).values(), ids(west).values()))
    for site in (east, west):
        site.stop()
    records = sum(it["records"] for it in show(west))
    if records != load.acknowledged:
        say(f"{records} records stand at west, {load.acknowledged} were acknowledged: the rest were written and never told")
    compared, differing = compare(east, west, pairs)
    if records < load.acknowledged:
        sys.exit(f"{load.acknowledged - records} acknowledged records are missing")
    print(f"records mirrored {records}, bytes compared {compared}, differing bytes {differing}")
    sys.exit(differing != 0)


main()
