"""Groups with kafka-python:

    groups_kafka_python.py share ADDRESS     two consumers share four partitions; one leaves, the other has all
    groups_kafka_python.py static ADDRESS    a static member goes and comes back, and nobody moves
    groups_kafka_python.py admin ADDRESS     groups listed, described, deleted
"""
import sys
import time

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

SOON = 30
PARTITIONS = 4
TOPIC = "orders"


class Member(ConsumerRebalanceListener):
    def __init__(self, address, **more):
        settings = {"heartbeat_interval_ms": 500, "fetch_max_wait_ms": 50} | {"session_timeout_ms": 6000}
        settings |= {"auto_offset_reset": "earliest", "enable_auto_commit": False, "group_id": "readers"}
        self.assignments, self.mine, self.read = 0, set(), set()
        self.consumer = KafkaConsumer(bootstrap_servers=address, **(settings | more))
        self.consumer.subscribe([TOPIC], listener=self)

    def on_partitions_assigned(self, assigned):
        self.assignments += 1
        self.mine |= {it.partition for it in assigned}

    def on_partitions_revoked(self, revoked):
        self.mine -= {it.partition for it in revoked}

    def poll(self):
        for partition, records in self.consumer.poll(50).items():
            self.read |= {(partition.partition, record.offset) for record in records}


def until(what, ready, *members):
    end = time.monotonic() + SOON
    while not ready():
        assert time.monotonic() < end, f"waited in vain: {what}; {[(it.mine, len(it.read)) for it in members]}"
        for member in members:
            member.poll()


def make_topic(address, count):
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    producer = KafkaProducer(bootstrap_servers=address)
    for at in range(count):
        producer.send(TOPIC, b"%d" % at, partition=at % PARTITIONS)
    producer.flush(SOON)
    producer.close()
    return admin


def share(address):
    make_topic(address, 400).close()
    one, two = Member(address), Member(address)
    until("both have two partitions", lambda: len(one.mine) == len(two.mine) == 2, one, two)
    until("all is read", lambda: len(one.read | two.read) == 400, one, two)
    one.consumer.commit()
    two.consumer.commit()
    two.consumer.close()
    until("the first has all", lambda: one.mine == set(range(PARTITIONS)), one)
    assert [one.consumer.committed(TopicPartition(TOPIC, it)) for it in range(PARTITIONS)] == [100] * PARTITIONS
    one.consumer.close()


def static(address):
    make_topic(address, 0).close()
    instance = lambda name: {"group_instance_id": name, "session_timeout_ms": 30000}
    one, two = Member(address, **instance("one")), Member(address, **instance("two"))
    until("both have two partitions", lambda: len(one.mine) == len(two.mine) == 2, one, two)
    moved, had = one.assignments, set(two.mine)
    two.consumer.close()
    again = Member(address, **instance("two"))
    until("it has what it had", lambda: again.mine == had, one, again)
    end = time.monotonic() + 2
    until("some heartbeats", lambda: time.monotonic() > end, one, again)
    assert one.assignments == moved, "the other one was moved"
    one.consumer.close()
    again.consumer.close()


def admin(address):
    it = make_topic(address, 100)
    member = Member(address, client_id="the-reader")
    until("all is read", lambda: len(member.read) == 100, member)
    member.consumer.commit()
    listed = it.list_groups()
    assert len(listed) == 1 and "readers" in str(listed[0]), listed
    described = it.describe_groups(["readers"])
    assert "the-reader" in str(described) and "Stable" in str(described), described
    offsets = it.list_group_offsets(["readers"])
    assert str(offsets).count("offset=25") == PARTITIONS, offsets
    member.consumer.close()
    it.delete_groups(["readers"])
    assert not it.list_groups()
    it.close()


globals()[sys.argv[1]](*sys.argv[2:])
