"""Many producers at once, each on a connection of its own:  crowd.py ADDRESS TOPIC PARTITIONS PRODUCERS ACKS STOP

Until the file STOP is there; then all that was acknowledged is read back and compared. A line of ACKS is an answered batch.
"""
import os
import pathlib
import sys
import threading

import raw

BATCH_RECORDS, RECORD_BYTES = 20, 1_000


class Crowd:
    def __init__(self, address, topic, partitions, acks, stop):
        self.address, self.topic, self.partitions, self.acks, self.stop = address, topic, partitions, acks, stop
        self.stands = {}  # (partition, base offset): values
        self.lock, self.failed = threading.Lock(), []

    def produce(self, number):
        partition = number % self.partitions
        try:
            it = raw.connect(self.address)
            while not self.stop.exists():
                values = [os.urandom(8) + b"." * RECORD_BYTES for _ in range(BATCH_RECORDS)]
                error, base, *_ = it.produce(self.topic, partition, raw.batch(values))
                assert error == 0, (error, partition)
                with self.lock:
                    assert (partition, base) not in self.stands, (partition, base)
                    self.stands[partition, base] = values
                    print(partition, base, file=self.acks, flush=True)
        except BaseException as failed:
            self.failed.append((number, failed))
            raise

    def check(self):
        it = raw.connect(self.address)
        for partition in range(self.partitions):
            offset, end = 0, it.end(self.topic, partition)
            while offset < end:
                error, _, records = it.fetch(self.topic, partition, offset)[:3]
                assert error == 0 and records, (error, partition, offset)
                for base, last, batch in raw.batches(records):
                    values = self.stands.pop((partition, base), None)
                    for value in values or ():
                        assert value in batch, (partition, base)
                    offset = max(offset, last + 1)
        assert not self.stands, f"acknowledged and gone: {sorted(self.stands)[:10]}"


def main(address, topic, partitions, producers, acks, stop):
    with open(acks, "a") as acks:
        crowd = Crowd(address, topic, int(partitions), acks, pathlib.Path(stop))
        threads = [threading.Thread(target=crowd.produce, args=(n,)) for n in range(int(producers))]
        [it.start() for it in threads]
        [it.join() for it in threads]
        assert not crowd.failed, crowd.failed
        count = len(crowd.stands)
        crowd.check()
        print(f"{count} batches of {producers} producers stand where it was said")


main(*sys.argv[1:])
