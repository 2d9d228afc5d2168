"""An idempotent producer by hand that goes on whatever it is told, several batches under way. Standard library only.

    steady.py write ADDRESS TOPIC PARTITIONS PAUSE ACKS STOP    until the file STOP is there
    steady.py check ADDRESS TOPIC PARTITIONS ACKS               all that was acknowledged stands where it was said to stand
    steady.py sides EAST WEST TOPIC ACKS KEPT..                 below KEPT at both, behind it at east alone; KEPT per partition

A line of ACKS is "ack PARTITION BASE COUNT SHA MS", or "no PARTITION ERROR MS" where a partition begins to refuse; MS is the time.
"""
import collections
import hashlib
import json
import pathlib
import random
import sys
import time

import raw

NOT_LEADER, OUT_OF_ORDER, STORAGE_ERROR = 6, 45, 56
UNDER_WAY_MAX = 8
PER_PARTITION_MAX = 5  # as many as a node remembers


def now():
    return int(time.time() * 1000)


def digest(batch):
    """All but what the node stamps: offset and leader epoch."""
    return hashlib.sha256(batch[16:]).hexdigest()[:24]


class Steady:
    def __init__(self, address, topic, partitions, acks):
        self.address, self.topic, self.acks = address, topic, acks
        self.connection = raw.connect(address)
        self.producer = self.connection.new_producer()
        self.sequences, self.refusing = [0] * partitions, [False] * partitions
        self.waiting, self.chance = collections.deque(), random.Random(topic)

    def say(self, *words):
        print(*words, now(), file=self.acks, flush=True)

    def send(self):
        partition = self.chance.randrange(len(self.sequences))
        if sum(1 for at, *_ in self.waiting if at == partition) == PER_PARTITION_MAX:
            return
        first = self.sequences[partition]
        sizes = [self.chance.randrange(700) for _ in range(self.chance.randrange(1, 6))]
        values = [b"%d-%d " % (partition, first + at) + b"." * size for at, size in enumerate(sizes)]
        self.sequences[partition] += len(values)
        batch = raw.batch(values, (*self.producer, first))
        self.waiting.append((partition, len(values), batch))
        self.connection.send_produce(self.topic, partition, batch)

    def receive(self):
        """The next answer; a refusal ends what is under way, and it is sent again in its order."""
        refused = []
        for _ in range(len(self.waiting)):
            partition, count, batch = self.waiting[0]
            error, base, message, _ = self.connection.receive_produce()
            self.waiting.popleft()
            if error == 0:
                self.refusing[partition] = False
                self.say("ack", partition, base, count, digest(batch))
                if not refused:
                    return
                continue
            behind = error == OUT_OF_ORDER and any(at == partition for at, *_ in refused)
            assert error in (NOT_LEADER, STORAGE_ERROR) or behind, (error, message)
            if not self.refusing[partition]:
                self.refusing[partition] = True
                self.say("no", partition, error)
            refused.append((partition, count, batch))
        self.waiting.extend(refused)
        time.sleep(0.02)
        self.again()

    def again(self):
        for partition, _, batch in self.waiting:
            self.connection.send_produce(self.topic, partition, batch)

    def run(self, stop, pause):
        while not stop.exists():
            try:
                while len(self.waiting) < UNDER_WAY_MAX and self.chance.randrange(6):
                    self.send()
                if self.waiting:
                    self.receive()
                time.sleep(pause)
            except ConnectionError:
                self.come_back(stop)

    def come_back(self, stop):
        while not stop.exists():
            try:
                self.connection = raw.connect(self.address)
                return self.again()
            except ConnectionError:
                time.sleep(0.02)


def write(address, topic, partitions, pause, acks, stop):
    with open(acks, "w") as acks:
        Steady(address, topic, int(partitions), acks).run(pathlib.Path(stop), float(pause))


def acknowledged(path):
    """{partition: {base: (count, digest)}}"""
    told = collections.defaultdict(dict)
    for kind, partition, *rest in map(str.split, open(path)):
        if kind == "ack":
            base, count, sha, _ = rest
            assert int(base) not in told[int(partition)], f"{partition}: two batches were acknowledged at {base}"
            told[int(partition)][int(base)] = (int(count), sha)
    return told


def stands(address, topic, partition):
    """{base: (count, digest)}, without a gap."""
    it, at, found = raw.connect(address), 0, {}
    end = it.end(topic, partition)
    while at < end:
        error, _, records = it.fetch(topic, partition, at)
        assert error == 0 and records, (error, topic, partition, at)
        for base, last, batch in raw.batches(records):
            assert base == at, f"{topic}-{partition}: {base} stands at {at}"
            found[base], at = (last - base + 1, digest(batch)), last + 1
    return found


def check(address, topic, partitions, acks):
    told, batches = acknowledged(acks), 0
    for partition in range(int(partitions)):
        found = stands(address, topic, partition)
        for base, it in told[partition].items():
            assert found.get(base) == it, f"{topic}-{partition}: {it} was acknowledged at {base}; there is {found.get(base)}"
        unknown = [base for base in found if base not in told[partition]]
        assert len(unknown) <= PER_PARTITION_MAX, f"{topic}-{partition}: nobody was told of what stands at {unknown}"
        shas = [sha for _, sha in found.values()]
        assert len(shas) == len(set(shas)), f"{topic}-{partition}: a batch stands twice"
        batches += len(told[partition])
    print(json.dumps({"batches": batches}))


def sides(east, west, topic, acks, *kept):
    told = acknowledged(acks)
    for partition, kept in enumerate(map(int, kept)):
        at_east, at_west = stands(east, topic, partition), stands(west, topic, partition)
        for base, it in told[partition].items():
            assert at_east.get(base) == it, f"{topic}-{partition}: {it} was acknowledged at {base}; east has {at_east.get(base)}"
            missing = base < kept and at_west.get(base) != it
            assert not missing, f"{topic}-{partition}: {it} at {base} is said to be kept; west has {at_west.get(base)}"
        common = {base: it for base, it in at_west.items() if base < kept}
        assert common == {base: it for base, it in at_east.items() if base < kept}, f"{topic}-{partition}: the sites differ below {kept}"
        end = max((base + count for base, (count, _) in at_east.items()), default=0)
        print(json.dumps({"partition": partition, "end": end, "acknowledged_behind": sum(base >= kept for base in told[partition])}))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
