"""A client of a node whose disk is full:  full.py ADDRESS CASE [ARGUMENT..]"""
import os
import sys
import time

import raw

STORAGE_ERROR = 56


def until_refused(address, topic):
    """Writes until the disk refuses it, and prints where the acknowledged ones end."""
    it = raw.Connection(address)
    for n in range(100_000):
        error, base, *_ = it.produce(topic, 0, raw.batch([os.urandom(500)] * 20))
        if error:
            assert error == STORAGE_ERROR, error
            break
    else:
        raise AssertionError("the disk is never full")
    assert it.produce(topic, 0, raw.batch([os.urandom(5000)]))[0] == STORAGE_ERROR
    print(it.end(topic))


def catalog_until_refused(address):
    """Makes topics until there is no room for one."""
    it = raw.Connection(address)
    for n in range(100_000):
        error = it.create_topic("filler-%d" % n, 1, [("leader.replication.throttled.replicas", "x" * 30_000)])
        if error:
            assert error == STORAGE_ERROR, error
            print(n)
            return
    raise AssertionError("the catalog is never full")


def read(address, topic, end):
    """Everything that was acknowledged can be read."""
    it = raw.Connection(address)
    offset = 0
    while offset < int(end):
        error, _, records = it.fetch(topic, 0, offset)[:3]
        assert error == 0 and records, (error, offset)
        for base, last, batch in raw.batches(records):
            offset = max(offset, last + 1)


def writes(address, topic, patience):
    """A write is taken, within a time."""
    began = time.monotonic()
    while True:
        error, base, *_ = raw.connect(address).produce(topic, 0, raw.batch([b"there is room"]))
        if error == 0:
            print(base)
            return
        assert time.monotonic() - began < float(patience), error
        time.sleep(0.1)


globals()[sys.argv[2]](sys.argv[1], *sys.argv[3:])
