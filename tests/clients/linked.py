"""What is asked of two sites with a link between them:  linked.py CASE [ARGUMENT..]"""
import base64
import hashlib
import json
import pathlib
import sys
import time

import flexible
import raw

NOT_LEADER = 6
INVALID_REQUEST = 42
REBOOTSTRAP_REQUIRED = 129
PAUSE = 0.02
PATIENCE = 120


def say(it):
    print(json.dumps(it), flush=True)


def create(address, topic, partitions, *configs):
    assert raw.connect(address).create_topic(topic, int(partitions), dict(it.split("=") for it in configs)) == 0


def delete(address, topic):
    assert raw.connect(address).delete_topic(topic) == 0


def ids(address, *topics):
    """As the directories are named."""
    it = raw.connect(address)
    found = [flexible.metadata(it, topic) for topic in topics]
    assert all(error == 0 for _, error, _ in found), found
    say([base64.urlsafe_b64encode(topic_id).decode().rstrip("=") for _, _, topic_id in found])


def write(address, topic, partitions, count, word="first"):
    """`count` batches to each partition, three records each."""
    it = raw.connect(address)
    for partition in range(int(partitions)):
        base = it.end(topic, partition)
        for n in range(int(count)):
            records = raw.batch([b"%s %d-%d-%d" % (word.encode(), partition, n, i) for i in range(3)])
            assert it.produce(topic, partition, records)[:2] == (0, base + 3 * n)


def ends_of(it, topic, partitions):
    return [it.end(topic, partition) for partition in range(int(partitions))]


def caught_up(east, west, topic, partitions):
    """Returns once both have the same ends; nothing may be written meanwhile."""
    source, mirror = raw.connect(east), raw.connect(west)
    wanted, until = ends_of(source, topic, partitions), time.monotonic() + PATIENCE
    while (found := ends_of(mirror, topic, partitions)) != wanted:
        assert time.monotonic() < until, f"the mirror ends at {found}, its source at {wanted}"
        time.sleep(PAUSE)
    assert sum(wanted) > 0
    say(wanted)


def read(address, topic, partitions):
    """The end and a digest of what is readable of each partition."""
    it = raw.connect(address)
    for partition in range(int(partitions)):
        _, _, start = it.list_offset(topic, partition, -2)
        at, sha, end = start, hashlib.sha256(), it.end(topic, partition)
        while at < end:
            error, _, records = it.fetch(topic, partition, at)
            assert error == 0 and records, (error, partition, at)
            for base, last, batch in raw.batches(records):
                assert base == at, (base, at)
                sha.update(batch[:12] + batch[16:])
                at = last + 1
        say({"partition": partition, "start": start, "end": end, "sha256": sha.hexdigest()})


def load(address, topic, partitions, state, acks, stop):
    """An idempotent producer: until it is told to stop, or the site is gone. What it sent stands in STATE, with offsets."""
    it = raw.connect(address)
    producer = it.new_producer()
    sent, acknowledged = [[] for _ in range(int(partitions))], [0] * int(partitions)
    try:
        with open(acks, "w") as acks:
            n = 0
            while not pathlib.Path(stop).exists():
                partition, n = n % len(sent), n + 1
                first = 3 * len(sent[partition])
                values = [b"%d-%d " % (partition, first + i) + b"." * (n % 700) for i in range(3)]
                batch = raw.batch(values, (*producer, first))
                # Whoever gets no answer does not know: it may stand there, and nowhere else.
                sent[partition].append((first, batch.hex()))
                assert it.produce(topic, partition, batch)[:2] == (0, first)
                acknowledged[partition] = first + 3
                print(partition, first, file=acks, flush=True)
    except ConnectionError:
        pass
    told = {"topic": topic, "producer": producer, "sent": sent, "acknowledged": acknowledged}
    pathlib.Path(state).write_text(json.dumps(told))


def follow(address, state):
    """The same producer at the other site: what was mirrored is known there, what follows is taken."""
    told = json.loads(pathlib.Path(state).read_text())
    it, topic = raw.connect(address), told["topic"]
    error, epochs = it.metadata(topic)
    assert error == 0 and {epoch >> 16 for epoch in epochs} == {1}, "the generation that follows"
    for partition, sent in enumerate(told["sent"]):
        kept = it.end(topic, partition)
        send = lambda sequence: it.produce(topic, partition, raw.batch([b"a", b"b", b"c"], (*told["producer"], sequence)))
        assert kept % 3 == 0 and kept <= 3 * len(sent), (partition, kept)
        if kept:
            base, batch = sent[kept // 3 - 1]
            for _ in range(2):
                answer = it.produce(topic, partition, bytes.fromhex(batch))
                assert answer[:2] == (0, base), f"{partition}: the last batch that was mirrored: {answer}"
                assert it.end(topic, partition) == kept, "a duplicate was appended"
            answer = send(kept + 3)
            assert answer[0] == 45, f"{partition}: a batch too far ahead: {answer}"
        answer = send(kept)
        assert answer[:2] == (0, kept), f"{partition}: the next sequence: {answer}"
        assert it.end(topic, partition) == kept + 3
        say({"kept": kept, "acknowledged": told["acknowledged"][partition], "sent": 3 * len(sent)})


def attempt(it, topic):
    error, base, message, _ = it.produce(topic, 0, raw.batch([b"attempt"]))
    return error, message


def until_accepted(address, topic, within):
    """Refused at first, then not; says after how many seconds."""
    it, began = raw.connect(address), time.monotonic()
    refused = 0
    while (answer := attempt(it, topic))[0] != 0:
        assert answer[0] == NOT_LEADER, answer
        assert time.monotonic() - began < float(within), f"still refused: {answer}"
        refused += 1
        time.sleep(PAUSE)
    say({"seconds": time.monotonic() - began, "refused": refused})


def refused_for(address, topic, seconds):
    it, began = raw.connect(address), time.monotonic()
    while time.monotonic() - began < float(seconds):
        answer = attempt(it, topic)
        assert answer[0] == NOT_LEADER, answer
        time.sleep(PAUSE)


def until_superseded(address, topic, within, accepted_max):
    """Until writes are refused and clients are sent on; says after how many seconds, and what was taken meanwhile."""
    say({"asks": address})
    it, began, accepted = raw.connect(address), time.monotonic(), 0
    while True:
        answer = attempt(it, topic)
        assert answer[0] in (0, NOT_LEADER), answer
        accepted += answer[0] == 0
        assert accepted <= int(accepted_max), f"{accepted} writes were taken"
        whole, error, _ = flexible.metadata(it, topic)
        assert whole in (0, REBOOTSTRAP_REQUIRED) and error == 0, (whole, error)
        if whole == REBOOTSTRAP_REQUIRED:
            break
        assert time.monotonic() - began < float(within), f"{answer} after {within} s, {accepted} writes taken"
        time.sleep(PAUSE)
    took = time.monotonic() - began
    assert attempt(it, topic)[0] == NOT_LEADER, "it sends clients on and takes writes"
    say({"seconds": took, "accepted": accepted})


def takes_no_writes(address, topic):
    answer = attempt(raw.connect(address), topic)
    assert answer[0] == INVALID_REQUEST, answer


def superseded(address, topic):
    """At once, and for good."""
    it = raw.connect(address)
    answer = attempt(it, topic)
    assert answer[0] == NOT_LEADER, answer
    assert flexible.metadata(it, topic)[:2] == (REBOOTSTRAP_REQUIRED, 0)
    # What was written before is there to be read.
    assert it.fetch(topic, 0, 0)[0] == 0


def in_order(address, topic, state):
    """Producers with much under way while the topic opens, known ones and new ones. Nothing that was refused may be
    overtaken: its producer would be told that it stands, or would send all again under a new epoch."""
    path, it, late = pathlib.Path(state), raw.connect(address), raw.connect(address)
    batch = lambda producer, n: raw.batch([b"%d" % n], (*producer, n))
    if not path.exists():
        known = it.new_producer()
        for partition in 0, 2:
            for n in range(10):
                assert it.produce(topic, partition, batch(known, n))[:2] == (0, n)
        return path.write_text(json.dumps(known))
    producers, told = [json.loads(path.read_text()), it.new_producer()] * 2, [10, 0, 10, 0]
    for partition in 2, 3:
        late.send_produce(topic, partition, batch(producers[partition], told[partition]))
    print("under way", flush=True)
    refused = [partition for partition in (2, 3) if late.receive_produce()[0] == NOT_LEADER]
    until = time.monotonic() + 20
    while min(told[:2]) < 1000:
        assert time.monotonic() < until, f"{told} were taken"
        for partition in 0, 1:
            first = told[partition]
            for n in range(first, first + 100):
                it.send_produce(topic, partition, batch(producers[partition], n))
            for n in range(first, first + 100):
                answer = it.receive_produce()[:3]
                if answer[0] == 0:
                    assert told[partition] == n, f"{n} was taken, {told[partition]} was refused before it"
                    told[partition] += 1
                else:
                    assert answer[0] == NOT_LEADER, f"{n} was refused with {answer}; {told[partition]} were taken"
    # The second batch, long on its way; then as a client does that was told so of both.
    for partition in refused:
        first, second = (batch(producers[partition], told[partition] + n) for n in (0, 1))
        answers = [late.produce(topic, partition, sent)[:2] for sent in (second, first, second)]
        assert answers == [(NOT_LEADER, -1), (0, told[partition]), (0, told[partition] + 1)], (partition, answers)
    for partition in 0, 1:
        assert it.end(topic, partition) == told[partition]


def a_mirror(address, topic, link, source):
    """Refuses whoever would change it, and says who may."""
    it = raw.connect(address)
    end = it.end(topic)
    for error, message in attempt(it, topic), flexible.delete_topic(it, topic):
        assert error == INVALID_REQUEST, (error, message)
        assert link in message and source in message, message
    assert it.delete_records(topic, 0, -1) == (-1, INVALID_REQUEST)
    assert it.end(topic) == end and it.metadata(topic)[0] == 0


globals()[sys.argv[1]](*sys.argv[2:])
