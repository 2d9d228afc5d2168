"""kafka-python:

    with_kafka_python.py ADDRESS                  from topics to offsets
    with_kafka_python.py ADDRESS delete_records   earliest offsets move
"""
import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import OffsetOutOfRangeError, TopicAlreadyExistsError

import rows

COUNT = 500


def write(address, codec, seed, **settings):
    codec = None if codec == "none" else codec
    producer = KafkaProducer(bootstrap_servers=address, compression_type=codec, linger_ms=20, **settings)
    sent = list(rows.rows(COUNT, seed))
    futures = [
        producer.send(rows.topic(codec or "none"), value, key, headers, partition=0, timestamp_ms=time)
        for key, value, headers, time in sent
    ]
    producer.flush(30)
    offsets = [future.get(10).offset for future in futures]
    producer.close()
    return sent, offsets


def read(consumer, partition, count):
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found, until = [], time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < until, f"{len(found)} of {count} records came"
        for records in consumer.poll(500).values():
            found += records
    return found


def main(address):
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic(rows.topic(codec), 1, 1) for codec in rows.CODECS])
    try:
        admin.create_topics([NewTopic(rows.topic("none"), 1, 1)])
        raise AssertionError("a topic was created twice")
    except TopicAlreadyExistsError:
        pass
    assert set(admin.list_topics()) == {rows.topic(codec) for codec in rows.CODECS}
    assert len(admin.describe_cluster()["brokers"]) == 1

    consumer = KafkaConsumer(bootstrap_servers=address, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=20)
    for seed, codec in enumerate(rows.CODECS):
        partition = TopicPartition(rows.topic(codec), 0)
        sent, offsets = write(address, codec, seed, acks="all", enable_idempotence=True)
        assert offsets == list(range(COUNT)), offsets
        more, offsets = write(address, codec, seed + 100, acks=1, enable_idempotence=False)
        assert offsets == list(range(COUNT, 2 * COUNT)), offsets
        unheard, _ = write(address, codec, seed + 200, acks=0, enable_idempotence=False)
        found = read(consumer, partition, 3 * COUNT)
        assert [record.offset for record in found] == list(range(3 * COUNT))
        told = [(record.key, record.value, list(record.headers), record.timestamp) for record in found]
        assert told == sent + more + unheard, "what was read is not what was written"

        assert consumer.beginning_offsets([partition]) == {partition: 0}
        assert consumer.end_offsets([partition]) == {partition: 3 * COUNT}
        # In a compressed batch the first record answers: never a later one than asked for.
        found = consumer.offsets_for_times({partition: rows.START_MS + 123})[partition]
        assert found.offset == 123 if codec == "none" else 0 <= found.offset <= 123, found
        assert consumer.offsets_for_times({partition: rows.START_MS + COUNT})[partition] is None
        consumer.seek(partition, 77)
        first = next(iter(consumer.poll(5000).values()))[0]
        assert (first.offset, first.value) == (77, sent[77][1]), "a fetch inside a batch"
    consumer.close()
    admin.close()


def delete_records(address):
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic("shrinking", 2, 1)])
    producer = KafkaProducer(bootstrap_servers=address, linger_ms=5)
    futures = [producer.send("shrinking", b"%d" % (at // 2), partition=at % 2) for at in range(40)]
    assert [future.get(10).offset for future in futures] == [at // 2 for at in range(40)]
    producer.close()
    first, second = (TopicPartition("shrinking", partition) for partition in range(2))
    told = admin.delete_records({first: 7, second: -1}, timeout_ms=10_000)
    assert {where: told[where]["low_watermark"] for where in told} == {first: 7, second: 20}, told
    try:
        admin.delete_records({first: 21}, timeout_ms=10_000)
        raise AssertionError("records were deleted above the end")
    except OffsetOutOfRangeError:
        pass

    consumer = KafkaConsumer(bootstrap_servers=address, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=20)
    assert consumer.beginning_offsets([first, second]) == {first: 7, second: 20}
    assert [(it.offset, it.value) for it in read(consumer, first, 13)] == [(at, b"%d" % at) for at in range(7, 20)]
    consumer.close()
    admin.close()


{"delete_records": delete_records}.get("".join(sys.argv[2:]), main)(sys.argv[1])
