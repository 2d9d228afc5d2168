"""A topic that has everything, by librdkafka:  mixed.py ADDRESS TOPIC PARTITIONS BYTES

For each codec an idempotent producer and a plain one, each its share of BYTES in random values, which no codec makes smaller;
records with and without keys, values and headers; and a batch of 2 MiB, which the topic must allow.
"""
import random
import sys

from confluent_kafka import Producer

import rows

LARGE = 2 << 20
ROUND = 200


def producers_of(address):
    for codec in rows.CODECS:
        for idempotent in True, False:
            settings = {"bootstrap.servers": address, "compression.type": codec, "enable.idempotence": idempotent}
            settings |= {"linger.ms": 5, "message.max.bytes": 2 * LARGE, "queue.buffering.max.messages": 1_000_000}
            yield Producer(settings)


def main(address, topic, partitions, size):
    chance, producers, failures = random.Random(topic), list(producers_of(address)), []
    share, count = int(size) // len(producers), 0

    def on_delivery(error, _):
        if error is not None:
            failures.append(error)

    def send(producer, value, **more):
        producer.produce(topic, value, partition=count % int(partitions), on_delivery=on_delivery, **more)

    left = dict.fromkeys(range(len(producers)), share)
    while left:
        for at in list(left):
            for _ in range(ROUND):
                count += 1
                random_bytes = chance.randbytes(chance.randrange(1, 2000))
                more = {"timestamp": rows.START_MS + count}
                if count % 3:
                    more["key"] = b"k%d" % (count % 1000)
                if count % 5 == 0:
                    more["headers"] = [("at", b"%d" % count), ("empty", b""), ("null", None)]
                # A tombstone now and then.
                value = None if count % 101 == 0 and "key" in more else random_bytes + b"." * (count % 300)
                send(producers[at], value, **more)
                left[at] -= 0 if value is None else len(random_bytes)
            producers[at].poll(0)
            if left[at] <= 0:
                del left[at]
        assert not failures, failures[0]
    for producer in producers[:2]:
        count += 1
        send(producer, chance.randbytes(LARGE))
    assert sum(producer.flush(120) for producer in producers) == 0 and not failures, failures[:3]
    print(count)


main(*sys.argv[1:])
