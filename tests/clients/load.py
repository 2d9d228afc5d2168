"""Producers that go on whatever happens to the node, and a reader that never forgets:

    load.py write ADDRESS TOPIC ACKS SEEN STOP    until the file STOP is there; then everything is delivered, and what
                                                  was acknowledged and seen stands in the files ACKS and SEEN
    load.py calm ADDRESS MIRROR TOPIC ACKS SEEN STOP    the same, slower, so that it may go on for long; it is read at the
                                                  mirror, too, and by a group
    load.py check ADDRESS TOPIC ACKS SEEN         all that is read is what was acknowledged, once, and what was seen
    load.py group ADDRESS TOPIC                   the group does not stand behind the end

One idempotent producer per codec, in turn to every partition. A line of ACKS or SEEN is "PARTITION OFFSET SHA-256".
"""
import collections
import hashlib
import pathlib
import random
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

import rows

PARTITIONS = 4
OUTSTANDING_MAX = 500
PATIENCE = 60
GROUP = "readers"


def producer_of(address, codec):
    settings = {"bootstrap.servers": address, "compression.type": codec, "enable.idempotence": True, "linger.ms": 5}
    return Producer(settings | {"reconnect.backoff.max.ms": 200, "message.timeout.ms": 1000 * PATIENCE, "log_level": 0})


def consumer_of(address, topic):
    settings = {"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False, "fetch.wait.max.ms": 50}
    settings |= {"auto.offset.reset": "error", "reconnect.backoff.max.ms": 200, "log_level": 0}
    consumer = Consumer(settings | {"topic.metadata.refresh.interval.ms": 1000})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    return consumer


def place(message):
    """An offset of -1 is not known."""
    offset = message.offset()
    return message.partition(), -1 if offset is None else offset


def digest(value):
    return hashlib.sha256(value).hexdigest()


class Reader(threading.Thread):
    """Reads along; a record that was seen once must never be another."""

    def __init__(self, address, topic):
        super().__init__(daemon=True)
        self.consumer, self.seen, self.failed, self.ends = consumer_of(address, topic), {}, None, None

    def run(self):
        try:
            self.read()
        except Exception as e:
            self.failed = e

    def read(self):
        nexts = [0] * PARTITIONS
        while self.ends is None or any(at < self.ends.get(partition, 0) for partition, at in enumerate(nexts)):
            message = self.consumer.poll(0.1)
            if message is None:
                continue
            if message.error():
                # What a node that is down gives; anything else is news.
                assert message.error().code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT), message.error()
                continue
            assert message.offset() == nexts[message.partition()], f"{place(message)}: {nexts} was next"
            nexts[message.partition()] += 1
            self.seen[place(message)] = digest(message.value())


class Member(threading.Thread):
    """A group of one, which commits what it read, and is another one every few seconds; what was committed never goes back."""

    def __init__(self, address, topic):
        super().__init__(daemon=True)
        self.address, self.topic, self.consumer = address, topic, None
        self.committed, self.failed, self.ends = {}, None, None

    def run(self):
        try:
            self.read()
        except Exception as e:
            self.failed = e

    def begin(self):
        """The next member. Its first record of a partition stands where the one before it committed, or behind."""
        if self.consumer is not None:
            self.consumer.close()
        settings = {"bootstrap.servers": self.address, "group.id": GROUP, "enable.auto.commit": False, "log_level": 0}
        settings |= {"auto.offset.reset": "earliest", "reconnect.backoff.max.ms": 200, "fetch.wait.max.ms": 50}
        self.consumer = Consumer(settings | {"topic.metadata.refresh.interval.ms": 1000, "session.timeout.ms": 6000})
        firsts = set()
        self.consumer.subscribe([self.topic], on_assign=lambda *_: firsts.clear())
        return firsts, {}, time.monotonic()

    def read(self):
        last = began = 0
        while self.ends is None or any(self.committed.get(at, 0) < end for at, end in self.ends.items()):
            if time.monotonic() > began + 2.5:
                firsts, nexts, began = self.begin()
            message = self.consumer.poll(0.1)
            if message is not None and not message.error():
                partition, offset = place(message)
                least = self.committed.get(partition, 0)
                assert partition in firsts or offset >= least, f"{partition}: {least} was committed, {offset} is given"
                firsts.add(partition)
                nexts[partition] = offset + 1
            if nexts and time.monotonic() > last + 0.3:
                last = time.monotonic()
                self.commit(dict(nexts))

    def commit(self, nexts):
        offsets = [TopicPartition(self.topic, partition, offset) for partition, offset in nexts.items()]
        try:
            told = self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException:
            return  # it may stand there, and is not counted on
        for it in told:
            if it.error is None:
                self.committed[it.partition] = it.offset


def group(address, topic):
    consumer = Consumer({"bootstrap.servers": address, "group.id": GROUP, "log_level": 0})
    asked = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    for it in consumer.committed(asked, PATIENCE):
        _, end = consumer.get_watermark_offsets(it, PATIENCE)
        assert it.offset <= end, f"{it.partition}: the group stands at {it.offset}, the end is {end}"
        print(it.partition, it.offset, end)


def calm(address, mirror, *arguments):
    write(address, *arguments, pause=0.06, others=[Reader(mirror, arguments[0]), Member(address, arguments[0])])


def write(address, topic, acks_path, seen_path, stop_path, pause=0.005, others=()):
    acks = open(acks_path, "w")
    ends, failures = {}, []

    def on_delivery(sha):
        def told(error, message):
            if error is not None:
                failures.append(error)
                return
            partition, offset = place(message)
            print(partition, offset, sha, file=acks)
            ends[partition] = max(ends.get(partition, 0), offset + 1)

        return told

    producers = {codec: producer_of(address, codec) for codec in rows.CODECS}
    reader = Reader(address, topic)
    readers = [reader, *others]
    for it in readers:
        it.start()
    chance, count = random.Random(topic), 0
    while not pathlib.Path(stop_path).exists():
        for codec, producer in producers.items():
            for _ in range(chance.randrange(20)):
                if len(producer) < OUTSTANDING_MAX:
                    count += 1
                    value = b"%s %d " % (codec.encode(), count) + chance.randbytes(chance.randrange(1, 1000)) * 2
                    producer.produce(topic, value, partition=count % PARTITIONS, on_delivery=on_delivery(digest(value)))
            producer.poll(0)
        acks.flush()
        assert not failures and not any(it.failed for it in readers), (failures, [it.failed for it in readers])
        time.sleep(pause)
    left = sum(producer.flush(PATIENCE) for producer in producers.values())
    acks.close()
    assert left == 0 and not failures, f"{left} of {count} records were never delivered: {failures[:3]}"
    for it in readers:
        it.ends = ends
    for it in readers:
        it.join(PATIENCE)
        assert not it.is_alive() and it.failed is None, f"{type(it).__name__}: {it.failed}, of {ends}"
    for other in others:
        for at, sha in getattr(other, "seen", {}).items():
            assert reader.seen[at] == sha, f"at {at} the two sites gave two records"
    with open(seen_path, "w") as seen:
        for (partition, offset), sha in reader.seen.items():
            print(partition, offset, sha, file=seen)


def check(address, topic, acks_path, seen_path):
    consumer = consumer_of(address, topic)
    log = {}
    for partition in range(PARTITIONS):
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), PATIENCE)
        log |= {(partition, offset): None for offset in range(end)}
    left = len(log)
    while left:
        message = consumer.poll(PATIENCE)
        assert message is not None and not message.error(), message and message.error()
        assert log[place(message)] is None, f"{place(message)} was read twice"
        log[place(message)] = digest(message.value())
        left -= 1

    acked, unplaced = {}, set()
    for line in open(acks_path):
        partition, offset, sha = line.split()
        at = int(partition), int(offset)
        if at[1] < 0:  # sent again too late for the node to remember where it stands
            unplaced.add(sha)
            continue
        assert at not in acked, f"two values were acknowledged at {at}"
        acked[at] = sha
    for at, sha in acked.items():
        assert log.get(at) == sha, f"acknowledged at {at}: {sha}; there is {log.get(at)}"
    for line in open(seen_path):
        partition, offset, sha = line.split()
        at = int(partition), int(offset)
        assert log.get(at) == sha, f"seen at {at}: {sha}; there is {log.get(at)}"
    places = collections.defaultdict(list)
    for at, sha in sorted(log.items()):
        places[sha].append(at)
    twice = [(at, sha in unplaced) for sha, at in places.items() if len(at) > 1]
    assert not twice, f"{len(twice)} values stand twice: {twice[:5]}"
    rest = {sha for at, sha in log.items() if at not in acked}
    assert rest == unplaced and len(log) == len(acked) + len(unplaced), "there is what nobody acknowledged"
    print(f"{len(log)} records, each acknowledged and there once")


globals()[sys.argv[1]](*sys.argv[2:])
