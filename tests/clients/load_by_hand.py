"""An idempotent producer by hand, which sends again what was not answered:  load_by_hand.py ADDRESS TOPIC ACKS STOP

Until the file STOP is there; then all is read back and compared. A line of ACKS is an answered batch.
"""
import collections
import pathlib
import random
import sys

import raw

PARTITIONS = 4
IN_FLIGHT_MAX = 5  # as many as a node remembers per producer and partition


class Load:
    def __init__(self, address, topic, acks):
        self.address, self.topic, self.acks = address, topic, acks
        self.connection = raw.connect(address)
        assert self.connection.create_topic(topic, PARTITIONS) == 0
        self.producer = self.connection.new_producer()
        self.sequences, self.waiting = [0] * PARTITIONS, collections.deque()
        self.stands = [{} for _ in range(PARTITIONS)]  # base offset: values
        self.chance, self.again = random.Random(topic), 0

    def send(self):
        partition = self.chance.randrange(PARTITIONS)
        first = self.sequences[partition]
        sizes = [self.chance.randrange(900) for _ in range(self.chance.randrange(1, 9))]
        values = [b"%d-%d " % (partition, first + at) + b"." * size for at, size in enumerate(sizes)]
        self.sequences[partition] += len(values)
        batch = raw.batch(values, (*self.producer, first))
        self.waiting.append((partition, values, batch))
        self.connection.send_produce(self.topic, partition, batch)

    def receive(self):
        error, base, message, _ = self.connection.receive_produce()
        partition, values, _ = self.waiting.popleft()
        assert error == 0, (error, message)
        assert base not in self.stands[partition], f"{partition}: two batches were acknowledged at {base}"
        self.stands[partition][base] = values
        print(partition, base, file=self.acks, flush=True)

    def go_on(self):
        """After the connection was lost: the answers to come are those of what is sent again."""
        self.connection = raw.connect(self.address)
        for partition, _, batch in self.waiting:
            self.again += 1
            self.connection.send_produce(self.topic, partition, batch)

    def run(self, stop):
        while self.waiting or not stop.exists():
            try:
                while not stop.exists() and len(self.waiting) < IN_FLIGHT_MAX:
                    self.send()
                self.receive()
            except ConnectionError:
                while True:
                    try:
                        self.go_on()
                        break
                    except ConnectionError:
                        pass

    def check(self):
        for partition, stands in enumerate(self.stands):
            at = 0
            for base, values in sorted(stands.items()):
                assert base == at, f"{partition}: {at} to {base} was never acknowledged"
                at += len(values)
            assert self.connection.end(self.topic, partition) == at
            read = 0
            while read < at:
                error, _, records = self.connection.fetch(self.topic, partition, read)
                assert error == 0 and records, (error, partition, read)
                for base, last, batch in raw.batches(records):
                    assert base == read and len(stands[base]) == last - base + 1, (partition, base, last)
                    assert all(value in batch for value in stands[base]), f"{partition}: other bytes at {base}"
                    read = last + 1
        print(f"{sum(map(len, self.stands))} batches, {self.again} sent again")


def main(address, topic, acks, stop):
    with open(acks, "w") as acks:
        load = Load(address, topic, acks)
        load.run(pathlib.Path(stop))
        load.check()


main(*sys.argv[1:])
