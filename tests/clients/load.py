"""Producers that go on whatever happens to the node, and a reader that never forgets:

    load.py write ADDRESS TOPIC ACKS SEEN STOP    until the file STOP is there; then everything is delivered, and what
                                                  was acknowledged and seen stands in the files ACKS and SEEN
    load.py check ADDRESS TOPIC ACKS SEEN         all that is read is what was acknowledged, once, and what was seen

One idempotent producer per codec, in turn to every partition. A line of ACKS or SEEN is "PARTITION OFFSET SHA-256".
"""
import collections
import hashlib
import pathlib
import random
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

import rows

PARTITIONS = 4
OUTSTANDING_MAX = 500
PATIENCE = 60


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


def write(address, topic, acks_path, seen_path, stop_path):
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
    reader.start()
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
        assert not failures and reader.failed is None, (failures, reader.failed)
        time.sleep(0.005)
    left = sum(producer.flush(PATIENCE) for producer in producers.values())
    acks.close()
    assert left == 0 and not failures, f"{left} of {count} records were never delivered: {failures[:3]}"
    reader.ends = ends
    reader.join(PATIENCE)
    assert not reader.is_alive() and reader.failed is None, f"the reader: {reader.failed}"
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
