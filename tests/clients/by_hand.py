"""What no well-behaved client does:  by_hand.py ADDRESS CASE [ARGUMENT..]"""
import socket
import struct
import sys
import time

import raw

TOPIC = "by-hand"


def fresh(address, partitions=1, configs=()):
    connection = raw.Connection(address)
    assert connection.create_topic(TOPIC, partitions, configs) == 0
    return connection


def is_refused(answer, error):
    assert answer[:2] == (error, -1), answer


def duplicates(address):
    it = fresh(address)
    producer = it.new_producer()
    sent = [raw.batch([b"%d-%d" % (n, i) for i in range(3)], (*producer, 3 * n)) for n in range(5)]
    for n, batch in enumerate(sent):
        assert it.produce(TOPIC, 0, batch)[:2] == (0, 3 * n)
    for n, batch in list(enumerate(sent)) * 2:
        assert it.produce(TOPIC, 0, batch)[:2] == (0, 3 * n), "a duplicate is answered with the first offset"
    assert it.end(TOPIC) == 15
    first = it.fetch(TOPIC, 0, 0)[2]
    assert [(base, last) for base, last, _ in raw.batches(first)] == [(3 * n, 3 * n + 2) for n in range(5)]
    # Another connection, and another partition's sequence is another's.
    assert raw.Connection(address).produce(TOPIC, 0, sent[4])[:2] == (0, 12)


def sequences(address):
    it = fresh(address)
    producer = it.new_producer()
    batch = lambda sequence, epoch=producer[1]: raw.batch([b"x"], (producer[0], epoch, sequence))
    for sequence in range(8):
        assert it.produce(TOPIC, 0, batch(sequence))[:2] == (0, sequence)
    is_refused(it.produce(TOPIC, 0, batch(9)), 45)
    is_refused(it.produce(TOPIC, 0, batch(0)), 46)  # older than the five batches that are remembered
    is_refused(it.produce(TOPIC, 0, batch(5, producer[1] + 1)), 45)
    assert it.end(TOPIC) == 8
    assert it.produce(TOPIC, 0, batch(0, producer[1] + 1))[:2] == (0, 8)
    is_refused(it.produce(TOPIC, 0, batch(8)), 47)
    assert it.end(TOPIC) == 9


def damage(address):
    it = fresh(address)
    good = raw.batch([b"one", b"two"])
    assert it.produce(TOPIC, 0, good)[:2] == (0, 0)
    for at in range(17, len(good)):  # from the checksum on; the magic before it says what follows
        bad = bytearray(good)
        bad[at] ^= 0x10
        is_refused(it.produce(TOPIC, 0, bytes(bad)), 2)
    is_refused(it.produce(TOPIC, 0, good[:-1]), 2)
    assert it.end(TOPIC) == 2
    assert it.produce(TOPIC, 0, good)[:2] == (0, 2)


def refusals(address):
    it = fresh(address, configs={"max.message.bytes": "2000"})
    good = raw.batch([b"x"])
    is_refused(it.produce("no-such-topic", 0, good), 3)
    is_refused(it.produce(TOPIC, 1, good), 3)
    is_refused(it.produce(TOPIC, 0, good, acks=2), 21)
    is_refused(it.produce(TOPIC, 0, b""), 87)
    is_refused(it.produce(TOPIC, 0, good + good), 87)
    is_refused(it.produce(TOPIC, 0, raw.batch([b"x"], count=2)), 87)
    is_refused(it.produce(TOPIC, 0, raw.batch([b"x"], count=0)), 87)
    is_refused(it.produce(TOPIC, 0, raw.batch([b"x"], delta=5)), 87)
    is_refused(it.produce(TOPIC, 0, raw.batch([b"x"], attributes=0x20)), 87)
    is_refused(it.produce(TOPIC, 0, raw.batch([b"x"], attributes=0x05)), 76)
    is_refused(it.produce(TOPIC, 0, raw.batch([b"x" * 2000])), 10)
    is_refused(it.produce(TOPIC, 0, raw.batch([b"x"], time_ms=1 << 50)), 32)
    assert it.end(TOPIC) == 0
    assert it.produce(TOPIC, 0, good)[:2] == (0, 0)
    assert it.metadata("no-such-topic")[0] == 3
    assert it.metadata("bad name")[0] == 17


def inside(address):
    it = fresh(address)
    for n in range(3):
        assert it.produce(TOPIC, 0, raw.batch([b"%d" % (4 * n + i) for i in range(4)]))[:2] == (0, 4 * n)
    for offset in range(12):
        for max_bytes in 1, 1 << 20:
            error, high, records = it.fetch(TOPIC, 0, offset, max_bytes)
            found = [(base, last) for base, last, _ in raw.batches(records)]
            assert (error, high) == (0, 12)
            first = offset // 4
            wanted = range(first, first + 1 if max_bytes == 1 else 3)
            assert found == [(4 * n, 4 * n + 3) for n in wanted], (offset, max_bytes, found)
    assert it.fetch(TOPIC, 0, 12) == (0, 12, b"")
    assert it.fetch(TOPIC, 0, 13)[0] == 1
    assert it.fetch(TOPIC, 1, 0)[0] == 3


def deleted(address):
    """Where the log begins is told by every answer that has a place for it; a batch that lies across is given whole."""
    it = fresh(address)
    for n in range(3):
        assert it.produce(TOPIC, 0, raw.batch([b"%d" % (4 * n + i) for i in range(4)]))[:2] == (0, 4 * n)
    assert it.delete_records(TOPIC, 0, 13) == (-1, 1)
    assert it.delete_records(TOPIC, 0, -2) == (-1, 1)
    assert it.delete_records(TOPIC, 1, 0) == (-1, 3)
    assert it.delete_records("no-such-topic", 0, 0) == (-1, 3)
    assert it.fetch_told(TOPIC, 0, 0)[:3] == (0, 12, 0)
    assert it.delete_records(TOPIC, 0, 6) == (6, 0)
    assert it.delete_records(TOPIC, 0, 5) == (6, 0)
    assert it.list_offset(TOPIC, 0, -2)[2] == 6 and it.end(TOPIC) == 12
    error, high, start, records = it.fetch_told(TOPIC, 0, 6)
    assert (error, high, start) == (0, 12, 6)
    assert [(base, last) for base, last, _ in raw.batches(records)] == [(4, 7), (8, 11)]
    for below in 0, 5:
        assert it.fetch(TOPIC, 0, below)[0] == 1, below
    assert it.delete_records(TOPIC, 0, -1) == (12, 0)
    assert it.fetch_told(TOPIC, 0, 12) == (0, 12, 12, b"")
    assert it.produce(TOPIC, 0, raw.batch([b"next"]))[:2] == (0, 12)
    assert it.fetch_told(TOPIC, 0, 12)[:3] == (0, 13, 12)


def acks_0(address):
    it = fresh(address)
    for n in range(10):
        it.send_produce(TOPIC, 0, raw.batch([b"%d" % n]), acks=0)
    ends = {it.end(TOPIC)}  # its answer is the next to come: the others had none
    while 10 not in ends:
        ends.add(it.end(TOPIC))
        assert max(ends) <= 10, ends
    assert it.produce(TOPIC, 0, raw.batch([b"x"]), acks=1)[:2] == (0, 10)
    it.send_produce(TOPIC, 7, raw.batch([b"x"]), acks=0)
    try:
        it.receive()
    except ConnectionError:
        return
    raise AssertionError("an error with acks 0 closes the connection")


def order(address):
    """Requests sent without waiting are done and answered in the order in which they came."""
    it = fresh(address, partitions=3)
    producer = it.new_producer()
    for n in range(60):
        it.send_produce(TOPIC, n % 3, raw.batch([b"%d" % n], (*producer, n // 3)))
    for n in range(60):
        assert it.receive_produce()[:2] == (0, n // 3), n


def append_time(address):
    """A topic with LogAppendTime: the batch gets the node's time, and tells the same time when it is sent again."""
    it = fresh(address, configs={"message.timestamp.type": "LogAppendTime"})
    batch = raw.batch([b"a", b"b"], (*it.new_producer(), 0), time_ms=1)
    error, base, _, told = it.produce(TOPIC, 0, batch)
    assert (error, base) == (0, 0) and abs(told - time.time() * 1000) < 60_000, told
    ((_, _, stored),) = raw.batches(it.fetch(TOPIC, 0, 0)[2])
    attributes, first, last = struct.unpack_from(">h4xqq", stored, 21)
    assert (attributes, last) == (8, told) and stored[61:] == batch[61:], (attributes, first, last, told)
    assert raw.crc32c(stored[21:]) == struct.unpack_from(">I", stored, 17)[0]
    time.sleep(0.02)  # so that another time would be another
    assert it.produce(TOPIC, 0, batch) == (0, 0, None, told), "a duplicate tells when it was appended"


def greedy(address):
    """A fetch that may be answered with more than the node's memory holds up nobody."""
    it = fresh(address)
    value = b"." * 900_000
    for n in range(24):
        assert it.produce(TOPIC, 0, raw.batch([value]))[:2] == (0, n)
    at = 0
    while at < 24:
        error, high, records = it.fetch(TOPIC, 0, at, max_bytes=64 << 20)
        found = [last for _, last, _ in raw.batches(records)]
        assert (error, high) == (0, 24) and found, (error, high, found)
        at = found[-1] + 1
    assert raw.Connection(address).end(TOPIC) == 24


def park(it, wait_ms):
    asked = struct.pack(">iiqqi", 0, -1, 0, -1, 1 << 20)
    body = struct.pack(">iiiibii", -1, wait_ms, 1, 1 << 20, 0, 0, -1)
    it.send(1, 11, body + raw.array([raw.text(TOPIC) + raw.array([asked])]) + raw.array([]) + raw.text(""))


def parked(address):
    """A fetch waits for records, and is answered when they come."""
    it, other = fresh(address), raw.Connection(address)
    park(it, 8_000)
    batch = raw.batch([b"awaited"])
    assert other.produce(TOPIC, 0, batch)[:2] == (0, 0)
    it.socket.settimeout(4)
    assert b"awaited" in it.receive().data


def parked_at_the_end(address):
    """A fetch that waits is answered when the node stops."""
    it, other = fresh(address), raw.Connection(address)
    park(it, 60_000)
    assert other.end(TOPIC) == 0
    print("parked", flush=True)
    answer = it.receive()
    assert answer.take("ih") == (0, 0)


def settings(address):
    """With auto.create.topics.enable, num.partitions=2 and replication.factor.max=3."""
    it = raw.Connection(address)
    assert it.metadata(TOPIC)[0] == 3, "the request did not ask for it to be made"
    assert it.metadata(TOPIC, create=True)[0] in (0, 5)
    assert it.metadata(TOPIC) == (0, [0, 0])
    assert it.create_topic("thrice", replicas=3) == 0
    assert it.create_topic("four-times", replicas=4) == 38


def newer(address):
    """A client newer than the node learns its versions from an answer of version 0."""
    it = raw.Connection(address)
    it.send(18, 99, b"\0")
    answer = it.receive()
    assert (answer.correlation, answer.take("h")) == (1, 35)
    ranges = {key: (low, high) for key, low, high in answer.array(lambda it: it.take("hhh"))}
    assert ranges[0][0] == 0 and ranges[0][1] >= 12, "Produce 0 is advertised: else older clients turn codecs off"
    assert 18 in ranges and not {68, 71} & set(ranges)


def garbage(address):
    """Nothing that comes in makes the node fall over."""
    cut, unknown = struct.pack(">ihhi", 8, 3, 7, 1), struct.pack(">ihhih", 10, 999, 0, 1, -1)
    for sent in b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, bytes(4), cut, unknown, b"\0\0\0\x40half":
        it = raw.Connection(address)
        it.socket.sendall(sent)
        try:
            it.socket.shutdown(socket.SHUT_WR)
            assert it.socket.recv(100) == b"", sent
        except TimeoutError:
            raise
        except OSError:
            pass  # closed before all was read
    assert raw.Connection(address).metadata("x")[0] == 3


def create(address, topic, partitions):
    assert raw.Connection(address).create_topic(topic, int(partitions)) == 0


def epoch(address, topic, expected):
    """Prints the epoch that clients are told, writes a batch, and finds that epoch in it."""
    it = raw.Connection(address)
    error, (epoch,) = it.metadata(topic)
    assert error == 0
    print(epoch)
    error, base, *_ = it.produce(topic, 0, raw.batch([b"x"]))
    assert error == 0
    ((_, _, batch),) = raw.batches(it.fetch(topic, 0, base)[2])
    assert struct.unpack_from(">i", batch, 12) == (int(expected),)


def six(address, topic):
    create(address, topic, 2)
    it = raw.Connection(address)
    for n in range(6):
        assert it.produce(topic, 0, raw.batch([b"%d" % n] * 3))[:2] == (0, 3 * n)
        assert it.produce(topic, 1, raw.batch([b"%d" % n] * 3))[:2] == (0, 3 * n)


def six_again(address, topic):
    it = raw.Connection(address)
    for partition in 0, 1:
        found = list(raw.batches(it.fetch(topic, partition, 0)[2]))
        assert [(base, last) for base, last, _ in found] == [(3 * n, 3 * n + 2) for n in range(6)], found
        assert all(b"%d" % n in batch for n, (_, _, batch) in enumerate(found))
        assert it.produce(topic, partition, raw.batch([b"more"]))[:2] == (0, 18)


def offline(address, topic):
    """Partition 0 is damaged, and nothing else is."""
    it = raw.Connection(address)
    assert it.fetch(topic, 0, 0)[0] == 56
    is_refused(it.produce(topic, 0, raw.batch([b"x"])), 56)
    assert it.fetch(topic, 1, 0)[:2] == (0, 18)
    assert it.produce(topic, 1, raw.batch([b"x"]))[:2] == (0, 18)


def wounded(address, topic):
    """The first batch of partition 0 is damaged, and nothing else is."""
    it = raw.Connection(address)
    assert it.fetch(topic, 0, 0)[0] == 2
    assert it.fetch(topic, 0, 1)[0] == 2
    found = list(raw.batches(it.fetch(topic, 0, 3)[2]))
    assert [(base, last) for base, last, _ in found] == [(3 * n, 3 * n + 2) for n in range(1, 6)], found
    assert it.produce(topic, 0, raw.batch([b"x"]))[:2] == (0, 18)
    assert it.fetch(topic, 1, 0)[:2] == (0, 18)
    assert it.produce(topic, 1, raw.batch([b"x"]))[:2] == (0, 18)


globals()[sys.argv[2]](sys.argv[1], *sys.argv[3:])
