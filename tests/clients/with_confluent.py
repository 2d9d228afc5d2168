"""confluent-kafka, which is librdkafka:

    with_confluent.py write ADDRESS BYTES    a topic per codec, two partitions each
    with_confluent.py read ADDRESS TOPIC..   "TOPIC PARTITION END SHA-256" of all that is there, times and headers too
    with_confluent.py create ADDRESS TOPIC.. topics of one partition
    with_confluent.py admin ADDRESS          topics, settings, offsets, and the errors of each
    with_confluent.py delete_records ADDRESS earliest offsets move, and reads below them are refused
    with_confluent.py deleted ADDRESS        and stay where they are
    with_confluent.py retention ADDRESS      what a topic does not keep goes by itself
    with_confluent.py transactions ADDRESS   refused at once
"""
import hashlib
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

import rows

PARTITIONS = 2
SOON = 10


def admin_of(address):
    return AdminClient({"bootstrap.servers": address})


def make(admin, *topics, **options):
    """The error's code of each, or None."""
    codes = []
    for future in admin.create_topics(list(topics), **options).values():
        try:
            codes.append(future.result(SOON))
        except KafkaException as e:
            codes.append(e.args[0].code())
    return codes if len(codes) > 1 else codes[0]


def create(address, *topics):
    assert not any(make(admin_of(address), *(NewTopic(topic, 1, 1) for topic in topics)))


def write(address, size):
    admin = admin_of(address)
    count = int(size) // 1000
    for seed, codec in enumerate(rows.CODECS):
        topic = rows.topic(codec)
        assert make(admin, NewTopic(topic, PARTITIONS, 1)) is None
        producer = Producer(
            {
                "bootstrap.servers": address,
                "compression.type": codec,
                "enable.idempotence": True,
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        delivered = [0] * PARTITIONS

        def on_delivery(error, message):
            assert error is None, error
            assert message.offset() == delivered[message.partition()]
            delivered[message.partition()] += 1

        for at, (key, value, headers, time) in enumerate(rows.rows(count, seed)):
            fields = {"key": key, "value": value, "headers": headers, "timestamp": time}
            producer.produce(topic, partition=at % PARTITIONS, on_delivery=on_delivery, **fields)
            producer.poll(0)
        assert producer.flush(60) == 0
        assert sum(delivered) == count


def consumer_of(address, **more):
    settings = {"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
    return Consumer(settings | {"enable.partition.eof": True, "auto.offset.reset": "error"} | more)


def read(address, *topics):
    consumer = consumer_of(address)
    for topic in topics:
        for partition in sorted(consumer.list_topics(topic, SOON).topics[topic].partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), SOON)
            consumer.assign([TopicPartition(topic, partition, low)])
            sha, at = hashlib.sha256(), low
            while True:
                message = consumer.poll(SOON)
                assert message is not None, f"{topic} {partition}: nothing came after offset {at} of {high}"
                if message.error():
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    break
                assert message.offset() == at
                at += 1
                told = (message.offset(), message.timestamp(), message.key(), message.value(), message.headers())
                sha.update(repr(told).encode())
            assert at == high, f"{topic} {partition}: {at} of {high}"
            print(topic, partition, high, sha.hexdigest())


def admin(address):
    it = admin_of(address)
    topic = NewTopic("orders", 3, 1, config={"retention.ms": "1000000"})
    assert make(it, topic, validate_only=True) is None
    assert "orders" not in it.list_topics(timeout=SOON).topics
    assert make(it, topic) is None
    assert make(it, topic) == KafkaError.TOPIC_ALREADY_EXISTS
    assert make(it, NewTopic("no/name", 1, 1)) == KafkaError.TOPIC_EXCEPTION
    assert make(it, NewTopic("x" * 250, 1, 1)) == KafkaError.TOPIC_EXCEPTION
    assert make(it, NewTopic("thrice", 1, 3)) == KafkaError.INVALID_REPLICATION_FACTOR
    assert make(it, NewTopic("odd", 1, 1, config={"no.such.thing": "1"})) == KafkaError.INVALID_CONFIG
    assert make(it, NewTopic("odd", 1, 1, config={"retention.ms": "soon"})) == KafkaError.INVALID_CONFIG
    assert make(it, NewTopic("odd", 1, 1, config={"compression.type": "lz4"})) == KafkaError.INVALID_CONFIG
    assert make(it, NewTopic("defaults", -1, -1)) is None
    mixed = make(it, NewTopic("good-beside-bad", 1, 1), NewTopic("", 1, 1))
    assert mixed == [None, KafkaError.TOPIC_EXCEPTION], mixed

    known = it.list_topics(timeout=SOON).topics
    assert {name: len(topic.partitions) for name, topic in known.items()} == {
        "orders": 3,
        "defaults": 1,
        "good-beside-bad": 1,
    }
    unknown = it.list_topics("no-such-topic", timeout=SOON).topics["no-such-topic"]
    assert unknown.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART, unknown.error

    cluster = it.describe_cluster().result(SOON)
    assert len(cluster.nodes) == 1 and cluster.controller.id == cluster.nodes[0].id
    assert f"{cluster.nodes[0].host}:{cluster.nodes[0].port}" == address
    assert len(cluster.cluster_id) == 22, cluster.cluster_id

    asked = TopicCollection(["orders"])
    described = it.describe_topics(asked)["orders"].result(SOON)
    assert [len(partition.isr) for partition in described.partitions] == [1, 1, 1]

    resource = ConfigResource(ConfigResource.Type.TOPIC, "orders")
    configs = it.describe_configs([resource])[resource].result(SOON)
    assert configs["retention.ms"].value == "1000000" and not configs["retention.ms"].is_default
    assert configs["cleanup.policy"].value == "delete" and configs["cleanup.policy"].is_default
    resource = ConfigResource(ConfigResource.Type.BROKER, str(cluster.controller.id))
    assert "message.max.bytes" in it.describe_configs([resource])[resource].result(SOON)
    resource = ConfigResource(ConfigResource.Type.TOPIC, "no-such-topic")
    try:
        it.describe_configs([resource])[resource].result(SOON)
        raise AssertionError("a topic that is not there has settings")
    except KafkaException as e:
        assert e.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART, e

    offsets(address, it)
    deletion(address, it)


def offsets(address, it):
    producer = Producer({"bootstrap.servers": address, "acks": 1, "linger.ms": 0})
    for at in range(10):
        producer.produce("orders", b"%d" % at, partition=0, timestamp=rows.START_MS + 10 * at)
        assert producer.flush(SOON) == 0

    def listed(spec):
        (future,) = it.list_offsets({TopicPartition("orders", 0): spec}).values()
        return future.result(SOON).offset

    assert (listed(OffsetSpec.earliest()), listed(OffsetSpec.latest())) == (0, 10)
    assert listed(OffsetSpec.for_timestamp(rows.START_MS + 45)) == 5
    assert listed(OffsetSpec.for_timestamp(rows.START_MS + 50)) == 5
    assert listed(OffsetSpec.for_timestamp(rows.START_MS - 1)) == 0
    assert listed(OffsetSpec.for_timestamp(rows.START_MS + 1000)) == -1
    assert listed(OffsetSpec.max_timestamp()) == 9

    consumer = consumer_of(address)
    found = consumer.offsets_for_times([TopicPartition("orders", 0, rows.START_MS + 71)], SOON)
    assert found[0].offset == 8, found
    consumer.assign([TopicPartition("orders", 0, 7)])
    assert [consumer.poll(SOON).value() for _ in range(3)] == [b"7", b"8", b"9"]
    consumer.seek(TopicPartition("orders", 0, 11))
    error = consumer.poll(SOON).error()
    while error.code() == KafkaError._PARTITION_EOF:
        error = consumer.poll(SOON).error()
    # auto.offset.reset is error: an offset above the end is told, not jumped over
    assert error.code() == KafkaError._AUTO_OFFSET_RESET, error


def deletion(address, it):
    it.delete_topics(["orders"])["orders"].result(SOON)
    assert "orders" not in it.list_topics(timeout=SOON).topics
    try:
        it.delete_topics(["orders"])["orders"].result(SOON)
        raise AssertionError("a topic was deleted twice")
    except KafkaException as e:
        assert e.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART, e
    assert make(it, NewTopic("orders", 1, 1)) is None
    assert consumer_of(address).get_watermark_offsets(TopicPartition("orders", 0), SOON) == (0, 0)


def deletes(it, offsets):
    """Low watermark, or the error's code, of each partition of "shrinking"."""
    asked = [TopicPartition("shrinking", partition, offset) for partition, offset in offsets.items()]
    told = {}
    for where, future in it.delete_records(asked).items():
        try:
            told[where.partition] = future.result(SOON).low_watermark
        except KafkaException as e:
            told[where.partition] = -e.args[0].code()
    return told


def delete_records(address):
    it = admin_of(address)
    assert make(it, NewTopic("shrinking", 3, 1)) is None
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 5})
    for at in range(60):
        producer.produce("shrinking", b"%d" % (at // 3), partition=at % 3)
        if at % 12 == 11:
            assert producer.flush(SOON) == 0
    assert deletes(it, {0: 7, 1: -1, 2: 21}) == {0: 7, 1: 20, 2: -KafkaError.OFFSET_OUT_OF_RANGE}
    assert deletes(it, {0: 3}) == {0: 7}
    assert deletes(it, {3: 0})[3] != 0  # librdkafka does not ask for a partition that it does not know
    deleted(address)


def deleted(address):
    it, consumer = admin_of(address), consumer_of(address)
    for partition, low in (0, 7), (1, 20), (2, 0):
        where = TopicPartition("shrinking", partition)
        assert consumer.get_watermark_offsets(where, SOON) == (low, 20)
        (future,) = it.list_offsets({where: OffsetSpec.earliest()}).values()
        assert future.result(SOON).offset == low
        consumer.assign([TopicPartition("shrinking", partition, low)])
        for at in range(low, 20):
            message = consumer.poll(SOON)
            assert (message.offset(), message.value()) == (at, b"%d" % at), (message.offset(), message.value())
    consumer.assign([TopicPartition("shrinking", 0, 6)])
    error = consumer.poll(SOON).error()
    # auto.offset.reset is error: an offset below the start is told, not jumped over
    assert error.code() == KafkaError._AUTO_OFFSET_RESET, error


def retention(address):
    """By size, by time, and neither; the node looks five times a second."""
    it, consumer = admin_of(address), consumer_of(address)
    settings = {
        "by-size": {"segment.bytes": 1 << 20, "retention.bytes": 2 << 20, "retention.ms": -1},
        "by-time": {"segment.bytes": 1 << 20, "retention.ms": 60_000},
        "by-age-of-segment": {"segment.ms": 1_000, "retention.ms": 60_000},
        "kept": {"segment.bytes": 1 << 20, "retention.ms": -1},
    }
    topics = [NewTopic(topic, 1, 1, config=config) for topic, config in settings.items()]
    assert not any(make(it, *topics))
    producer = Producer({"bootstrap.servers": address, "linger.ms": 5, "batch.size": 50_000})
    count, now = 5_000, int(time.time() * 1000)
    for topic in settings:
        for at in range(count):
            # Of all but the last tenth the time is past.
            old = topic != "by-size" and at < count * 9 // 10
            producer.produce(topic, b"%d" % at + b"." * 1000, partition=0, timestamp=now - 3_600_000 if old else now)
            producer.poll(0)
        assert producer.flush(30) == 0
    for topic, least, most in (
        ("by-size", count * 3 // 10, count * 7 // 10),
        ("by-time", count // 2, count * 9 // 10),
        ("by-age-of-segment", count * 8 // 10, count * 9 // 10),
    ):
        until = time.monotonic() + 30
        while (low := consumer.get_watermark_offsets(TopicPartition(topic, 0), SOON)[0]) < least:
            assert time.monotonic() < until, f"{topic} begins at {low}"
            time.sleep(0.05)
        assert low <= most, f"{topic} begins at {low}: too much is gone"
        consumer.assign([TopicPartition(topic, 0, low)])
        for at in range(low, count):
            message = consumer.poll(SOON)
            assert message.offset() == at and message.value().startswith(b"%d." % at)
        print(topic, low)
    assert consumer.get_watermark_offsets(TopicPartition("kept", 0), SOON) == (0, count)


def transactions(address):
    producer = Producer({"bootstrap.servers": address, "transactional.id": "orders"})
    try:
        producer.init_transactions(SOON)
        raise AssertionError("transactions are served: test them")
    except KafkaException as e:
        assert e.args[0].code() != KafkaError._TIMED_OUT, "the client was left hanging"


globals()[sys.argv[1]](*sys.argv[2:])
