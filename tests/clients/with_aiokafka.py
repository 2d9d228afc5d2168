"""aiokafka, from topics to offsets:  with_aiokafka.py ADDRESS"""
import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import rows

COUNT = 500


async def write(address, codec, seed, **settings):
    codec = None if codec == "none" else codec
    sent = list(rows.rows(COUNT, seed))
    settings |= {"bootstrap_servers": address, "compression_type": codec, "linger_ms": 20}
    topic = rows.topic(codec or "none")
    async with AIOKafkaProducer(**settings) as producer:
        futures = [
            await producer.send(topic, value, key, partition=0, timestamp_ms=time, headers=headers)
            for key, value, headers, time in sent
        ]
        told = await asyncio.gather(*futures)
    return sent, [it.offset for it in told if it is not None]


async def read(consumer, partition, count):
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    found = []
    async with asyncio.timeout(20):
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
    return found


async def main(address):
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    created = await admin.create_topics([NewTopic(rows.topic(codec), 1, 1) for codec in rows.CODECS])
    assert [error for _, error, *_ in created.topic_errors] == [0] * 5, created
    again = await admin.create_topics([NewTopic(rows.topic("none"), 1, 1)])
    assert [error for _, error, *_ in again.topic_errors] == [36], again
    assert set(await admin.list_topics()) == {rows.topic(codec) for codec in rows.CODECS}
    await admin.close()

    consumer = AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False, fetch_max_wait_ms=20)
    await consumer.start()
    for seed, codec in enumerate(rows.CODECS):
        partition = TopicPartition(rows.topic(codec), 0)
        sent, offsets = await write(address, codec, seed, enable_idempotence=True)
        assert offsets == list(range(COUNT)), offsets
        more, offsets = await write(address, codec, seed + 100, acks=1)
        assert offsets == list(range(COUNT, 2 * COUNT)), offsets
        unheard, _ = await write(address, codec, seed + 200, acks=0)
        found = await read(consumer, partition, 3 * COUNT)
        assert [record.offset for record in found] == list(range(3 * COUNT))
        told = [(record.key, record.value, list(record.headers), record.timestamp) for record in found]
        assert told == sent + more + unheard, "what was read is not what was written"

        assert await consumer.beginning_offsets([partition]) == {partition: 0}
        assert await consumer.end_offsets([partition]) == {partition: 3 * COUNT}
        # In a compressed batch the first record answers: never a later one than asked for.
        found = (await consumer.offsets_for_times({partition: rows.START_MS + 123}))[partition]
        assert found.offset == 123 if codec == "none" else 0 <= found.offset <= 123, found
        assert (await consumer.offsets_for_times({partition: rows.START_MS + COUNT}))[partition] is None
        consumer.seek(partition, 77)
        first = await consumer.getone()
        assert (first.offset, first.value) == (77, sent[77][1]), "a fetch inside a batch"
    await consumer.stop()


asyncio.run(main(sys.argv[1]))
