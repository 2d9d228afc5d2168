"""Looks into nodes for as long as it is asked: a list of JSON per line comes in, its first item the question; an answer per line
goes out. Standard library only."""
import base64
import hashlib
import json
import struct
import sys
import time
import traceback

import flexible
import raw

STORAGE_ERROR = 56
COUNT_MAX = 250  # of topics with much to say: more than the store puts by
COORDINATOR_IS_COMING = (14, 15, 16)


def ends(address, topic, partitions):
    it = raw.Connection(address)
    return [it.end(topic, partition) for partition in range(int(partitions))]


def wait_ends(address, topic, within, *wanted):
    """Until each partition ends at least there; how long that took."""
    began, wanted = time.monotonic(), [int(end) for end in wanted]
    it = raw.connect(address)
    while True:
        found = [it.end(topic, n) for n in range(len(wanted))]
        if all(at >= end for at, end in zip(found, wanted)):
            return time.monotonic() - began
        assert time.monotonic() < began + float(within), f"{topic} ends at {found} after {within} s, not at {wanted}"
        time.sleep(0.02)


def first(address, topic, partition):
    """How many bytes stand at the beginning."""
    it = raw.connect(address)
    _, _, start = it.list_offset(topic, int(partition), -2)
    error, _, records = it.fetch(topic, int(partition), start)
    assert error == 0, error
    return len(records)


def fill_catalog(address, prefix):
    """Makes topics with much to say until there is no room for one; [how many there are, the last error]."""
    it = raw.connect(address)
    for n in range(COUNT_MAX):
        error = it.create_topic(f"{prefix}-{n}", 1, [("leader.replication.throttled.replicas", "x" * 30_000)])
        if error:
            return [n, error]
    return [COUNT_MAX, 0]


def empty_catalog(address, prefix, count, within):
    """There is room again, or soon will be; how long it took to be noticed."""
    it, began = raw.connect(address), time.monotonic()
    for n in range(int(count)):
        while error := it.delete_topic(f"{prefix}-{n}"):
            assert error == STORAGE_ERROR, error
            assert time.monotonic() < began + float(within), f"no topic can be deleted after {within} s"
            time.sleep(0.05)
    return time.monotonic() - began


def topic_id(address, topic):
    whole, error, found = flexible.metadata(raw.connect(address), topic)
    assert error == 0, (whole, error)
    return base64.urlsafe_b64encode(found).decode().rstrip("=")


def topics_of(it):
    """(cluster id, {topic: its number of partitions})"""
    answer = it.ask(3, 7, struct.pack(">i", -1) + b"\0")
    answer.take("i")
    answer.array(lambda it: (it.take("i"), it.text(), it.take("i"), it.text()))
    cluster, _ = answer.text(), answer.take("i")

    def partition(it):
        it.take("hiii")
        for _ in range(3):
            it.array(lambda it: it.take("i"))

    found = answer.array(lambda it: (it.take("h"), it.text(), it.take("b"), it.array(partition)))
    return cluster, {name: len(partitions) for error, name, _, partitions in found if error == 0}


def configs(it, topic):
    """What was set for the topic itself."""
    asked = struct.pack(">b", 2) + raw.text(topic) + struct.pack(">i", -1)
    answer = it.ask(32, 1, raw.array([asked]) + b"\0")
    answer.take("i")

    def entry(it):
        name, value, _, source, _ = it.text(), it.text(), it.take("b"), it.take("b"), it.take("b")
        it.array(lambda it: (it.text(), it.text(), it.take("b")))
        return name, value, source

    ((error, entries),) = answer.array(lambda it: (it.take("h"), it.text(), it.take("b"), it.text(), it.array(entry))[::4])
    return {name: value for name, value, source in entries if source == 1} if error == 0 else {"error": error}


def groups(it):
    """{group: {topic-partition: [offset, metadata]}}"""
    until = time.monotonic() + 10
    while (answer := it.ask(16, 0, b"")).take("h") in COORDINATOR_IS_COMING:
        assert time.monotonic() < until
        time.sleep(0.02)
    return {group: offsets(it, group) for group, _ in answer.array(lambda it: (it.text(), it.text()))}


def offsets(it, group):
    answer = it.ask(9, 2, raw.text(group) + struct.pack(">i", -1))
    partition = lambda it: (it.take("i"), it.take("q"), it.text(), it.take("h"))
    found = answer.array(lambda it: (it.text(), it.array(partition)))
    error = answer.take("h")
    told = {f"{topic}-{at}": [offset, words] for topic, all in found for at, offset, words, _ in all}
    return told if error == 0 else {"error": error}


def log(it, topic, partition):
    """Where it begins and ends, [base, last, SHA-256] of every batch, and [offset, error] of what is refused."""
    start_error, _, start = it.list_offset(topic, partition, -2)
    error, _, end = it.list_offset(topic, partition, -1)
    found, refused, at = [], [], start
    if start_error or error:
        return {"start": None, "end": None, "batches": [], "refused": [[-1, start_error or error]]}
    while at < end:
        error, high, records = it.fetch(topic, partition, at)
        if error:
            refused.append([at, error])
            if error == STORAGE_ERROR or len(refused) > 1000:
                break
            at += 1
            continue
        assert records, f"{topic}-{partition}: nothing is given at {at}, the end is {end}, the high watermark {high}"
        for base, last, batch in raw.batches(records):
            # A batch that begins below is given to whoever asks for its middle: after damage, that is.
            assert base <= at <= last, f"{topic}-{partition}: {base} to {last} is given at {at}"
            found.append([base, last, hashlib.sha256(batch).hexdigest()])
            at = last + 1
    return {"start": start, "end": end, "batches": found, "refused": refused}


def everything(address):
    """All that a client may see."""
    it = raw.connect(address)
    cluster, names = topics_of(it)
    logs = lambda name, count: [log(it, name, at) for at in range(count)]
    told = {name: {"configs": configs(it, name), "partitions": logs(name, count)} for name, count in names.items()}
    return {"cluster": cluster, "topics": told, "groups": groups(it)}


def main():
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            answer = {"told": globals()[verb](*arguments)}
        except Exception:
            answer = {"failed": traceback.format_exc(limit=-3)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
