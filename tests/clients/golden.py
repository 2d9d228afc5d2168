"""What stands in a golden data directory:  golden.py CASE ADDRESS

Nothing of it expires: it is read for ever.
"""
import struct
import sys

import raw

FOREVER = {"retention.ms": "-1"}
T0 = 1_700_000_000_000


def make(it, topic, partitions, **configs):
    assert it.create_topic(topic, partitions, FOREVER | {name.replace("_", "."): value for name, value in configs.items()}) == 0


def write(it, topic, partitions, count, word, producer=raw.NO_PRODUCER, sequence=0):
    """`count` batches of one to three records to each partition, each a second later than the one before it."""
    for partition in range(partitions):
        first = sequence
        for n in range(count):
            values = [b"%s %d-%d-%d " % (word, partition, n, i) + b"." * (n % 7 * 40) for i in range(1 + n % 3)]
            who = (*producer[:2], first) if producer[0] >= 0 else producer
            error, *told = it.produce(topic, partition, raw.batch(values, who, time_ms=T0 + 1000 * n))
            assert error == 0, (error, told)
            first += len(values)


def commit(it, group, topic, *offsets):
    asked = [struct.pack(">iq", at, offset) + raw.text(f"after {offset}") for at, offset in enumerate(offsets)]
    topics = raw.array([raw.text(topic) + raw.array(asked)])
    answer = it.ask(8, 2, raw.text(group) + struct.pack(">i", -1) + raw.text("") + struct.pack(">q", -1) + topics)
    told = answer.array(lambda it: (it.text(), it.array(lambda it: it.take("ih")[1])))
    assert all(error == 0 for _, errors in told for error in errors), told


def source(address):
    """Of the site that is mirrored."""
    it = raw.Connection(address)
    make(it, "orders", 2, segment_ms="11000")  # segments are short, and have their indexes
    write(it, "orders", 2, 24, b"order", it.new_producer())
    make(it, "payments", 1, max_message_bytes="100000")
    write(it, "payments", 1, 6, b"payment")
    make(it, "gone", 1)
    write(it, "gone", 1, 3, b"gone")
    commit(it, "readers", "orders", 11, 40)


def own(address):
    """Of the golden site itself."""
    it = raw.Connection(address)
    make(it, "own", 2, segment_ms="6500", cleanup_policy="delete")
    write(it, "own", 2, 20, b"own", it.new_producer())
    write(it, "own", 2, 2, b"of nobody")
    assert it.delete_records("own", 1, 17) == (17, 0)
    make(it, "empty", 1)
    commit(it, "auditors", "own", 3, 17)


def opened(address):
    """Of a mirror that was opened."""
    write(raw.Connection(address), "payments", 1, 4, b"after")


def more(address):
    """Before the end that is not clean."""
    it = raw.Connection(address)
    write(it, "own", 2, 5, b"more", it.new_producer())
    write(it, "payments", 1, 2, b"more")
    commit(it, "auditors", "own", 5, 20)


globals()[sys.argv[1]](*sys.argv[2:])
