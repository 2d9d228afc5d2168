"""Groups with confluent-kafka, which is librdkafka:

    groups_confluent.py share ADDRESS      two consumers share four partitions; one leaves, the other has all
    groups_confluent.py hold ADDRESS FILES two consumers that go on while their node is killed
    groups_confluent.py resume ADDRESS     a consumer goes on where its group stopped
    groups_confluent.py static ADDRESS     a static member goes and comes back, and nobody moves
    groups_confluent.py admin ADDRESS      groups listed, described, altered, deleted, and the errors of each
"""
import os
import sys
import time

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

SOON = 30
PARTITIONS = 4
TOPIC = "orders"


def make_topic(address, name=TOPIC, partitions=PARTITIONS):
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(SOON)
    return admin


def produce(address, count, topic=TOPIC, partitions=PARTITIONS):
    producer = Producer({"bootstrap.servers": address, "linger.ms": 5})
    for at in range(count):
        producer.produce(topic, b"%d" % at, partition=at % partitions)
    assert producer.flush(SOON) == 0


class Member:
    """A consumer that remembers what it was given, and how often."""

    def __init__(self, address, group="readers", topics=(TOPIC,), **more):
        settings = {
            "bootstrap.servers": address,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
            "fetch.wait.max.ms": 50,
            "reconnect.backoff.max.ms": 500,
        }
        self.assignments = 0
        self.mine = set()
        self.read = []
        self.consumer = Consumer(settings | more)
        self.consumer.subscribe(list(topics), on_assign=self.on_assign, on_revoke=self.on_revoke)

    def on_assign(self, consumer, partitions):
        self.assignments += 1
        self.mine |= {it.partition for it in partitions}

    def on_revoke(self, consumer, partitions):
        self.mine -= {it.partition for it in partitions}

    def poll(self, wait=0.05):
        message = self.consumer.poll(wait)
        if message is not None and not message.error():
            self.read.append((message.partition(), message.offset()))
        return message


def until(what, ready, *members):
    end = time.monotonic() + SOON
    while not ready():
        assert time.monotonic() < end, f"waited in vain: {what}; {[(it.mine, len(it.read)) for it in members]}"
        for member in members:
            member.poll()


def share(address):
    make_topic(address)
    produce(address, 400)
    one, two = Member(address), Member(address)
    both = lambda: one.mine | two.mine == set(range(PARTITIONS)) and len(one.mine) == len(two.mine) == 2
    until("both have two partitions", both, one, two)
    until("all is read", lambda: len(set(one.read) | set(two.read)) == 400, one, two)
    two.consumer.commit(asynchronous=False)
    two.consumer.close()
    until("the first has all", lambda: one.mine == set(range(PARTITIONS)), one)
    produce(address, 40)
    until("it reads what is new", lambda: len({it for it in one.read if it[1] >= 100}) == 40, one)
    one.consumer.commit(asynchronous=False)
    committed = one.consumer.committed([TopicPartition(TOPIC, it) for it in range(PARTITIONS)], SOON)
    assert [it.offset for it in committed] == [110] * PARTITIONS, committed
    one.consumer.close()


def hold(address, files):
    """Says in `files`.held that all is read and committed; is told in `files`.back that the node is."""
    make_topic(address)
    members = one, two = Member(address), Member(address)
    until("both have two partitions", lambda: len(one.mine) == len(two.mine) == 2, *members)
    # Not before: the first one would read what the second one then reads again.
    produce(address, 200)
    until("all is read", lambda: len(set(one.read + two.read)) == 200, *members)
    for member in members:
        member.consumer.commit(asynchronous=False)
    before = [(member.assignments, set(member.mine), member.consumer.memberid()) for member in members]
    open(files + ".held", "w").close()
    until("the node is back", lambda: os.path.exists(files + ".back"), *members)
    produce(address, 200)
    until("what is new is read", lambda: len(set(one.read + two.read)) == 400, *members)
    # A while longer than the next heartbeat, which would tell of a rebalance.
    end = time.monotonic() + 3
    until("some heartbeats", lambda: time.monotonic() > end, *members)
    after = [(member.assignments, set(member.mine), member.consumer.memberid()) for member in members]
    assert before == after, f"a restart moved members: {before} {after}"
    # Each record once: they went on from where they were.
    assert len(one.read + two.read) == 400, "something was read twice"
    for member in members:
        member.consumer.commit(asynchronous=False)
    # Neither leaves: the resumed one waits for their sessions.
    os._exit(0)


def resume(address):
    produce(address, 40)
    member = Member(address)
    until("what is new is read", lambda: len(member.read) >= 40, member)
    assert sorted(member.read) == [(partition, at) for partition in range(4) for at in range(100, 110)], member.read
    member.consumer.close()


def static(address):
    make_topic(address)
    instance = lambda name: {"group.instance.id": name, "session.timeout.ms": 30000}
    one, two = Member(address, **instance("one")), Member(address, **instance("two"))
    until("both have two partitions", lambda: len(one.mine) == len(two.mine) == 2, one, two)
    moved, had, id_before = one.assignments, set(two.mine), two.consumer.memberid()
    two.consumer.close()  # a static member does not leave
    again = Member(address, **instance("two"))
    until("it has what it had", lambda: again.mine == had, one, again)
    assert again.consumer.memberid() != id_before
    end = time.monotonic() + 2
    until("some heartbeats", lambda: time.monotonic() > end, one, again)
    assert one.assignments == moved, "the other one was moved"
    # A second process of one instance fences the first.
    third = Member(address, **instance("two"))
    fenced = []

    def is_fenced():
        message = again.poll()
        if message is not None and message.error():
            fenced.append(message.error().code())
        return KafkaError._FATAL in fenced or KafkaError.FENCED_INSTANCE_ID in fenced

    until("the older process is fenced", is_fenced, one, third)
    until("the newer one has its place", lambda: third.mine == had, one, third)
    for member in one, third:
        member.consumer.close()


def error_of(future):
    try:
        future.result(SOON)
    except KafkaException as e:
        return e.args[0].code()
    return None


def admin(address):
    it = make_topic(address)
    make_topic(address, "bills", 1)
    produce(address, 100)
    member = Member(address, **{"client.id": "the-reader"})
    until("all is read", lambda: len(member.read) == 100, member)
    member.consumer.commit(asynchronous=False)
    aside = Consumer({"bootstrap.servers": address, "group.id": "aside", "enable.auto.commit": False})
    aside.commit(offsets=[TopicPartition(TOPIC, 1, 7, "by hand")], asynchronous=False)

    listed = lambda **filters: {
        group.group_id: (group.state, group.type, group.is_simple_consumer_group)
        for group in it.list_consumer_groups(**filters).result(SOON).valid
    }
    classic = ConsumerGroupType.CLASSIC
    stable, empty = ConsumerGroupState.STABLE, ConsumerGroupState.EMPTY
    assert listed() == {"readers": (stable, classic, False), "aside": (empty, classic, True)}, listed()
    assert list(listed(states={empty})) == ["aside"]
    assert listed(types={ConsumerGroupType.CONSUMER}) == {}

    described = it.describe_consumer_groups(["readers", "aside"], include_authorized_operations=True)
    group = described["readers"].result(SOON)
    assert (group.state, group.partition_assignor, len(group.members)) == (stable, "range", 1), group
    assert group.members[0].client_id == "the-reader" and group.members[0].host == "/127.0.0.1"
    assert {part.partition for part in group.members[0].assignment.topic_partitions} == set(range(PARTITIONS))
    assert len(group.authorized_operations) == 3, group.authorized_operations
    assert described["aside"].result(SOON).state == empty

    def offsets(group, partitions=None):
        (future,) = it.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, partitions)]).values()
        return {(part.topic, part.partition): part.offset for part in future.result(SOON).topic_partitions}

    def alter(group, *partitions):
        request = [ConsumerGroupTopicPartitions(group, list(partitions))]
        (future,) = it.alter_consumer_group_offsets(request).values()
        errors = [part.error for part in future.result(SOON).topic_partitions]
        return [error and error.code() for error in errors]

    assert offsets("readers") == {(TOPIC, partition): 25 for partition in range(PARTITIONS)}
    assert offsets("aside") == {(TOPIC, 1): 7}
    assert offsets("aside", [TopicPartition(TOPIC, 0)])[(TOPIC, 0)] < 0
    assert alter("aside", TopicPartition(TOPIC, 2, 9)) == [None]
    assert offsets("aside") == {(TOPIC, 1): 7, (TOPIC, 2): 9}
    assert alter("readers", TopicPartition(TOPIC, 0, 1)) == [KafkaError.UNKNOWN_MEMBER_ID], "it has members"
    assert alter("aside", TopicPartition("no-such-topic", 0, 1)) == [KafkaError.UNKNOWN_TOPIC_OR_PART]

    deleted = it.delete_consumer_groups(["aside", "readers", "nobody"], request_timeout=SOON)
    errors = {group: error_of(future) for group, future in deleted.items()}
    assert errors == {
        "aside": None,
        "readers": KafkaError.NON_EMPTY_GROUP,
        "nobody": KafkaError.GROUP_ID_NOT_FOUND,
    }, errors
    assert list(listed()) == ["readers"]
    member.consumer.close()
    end = time.monotonic() + SOON
    while listed() != {"readers": (empty, classic, False)}:
        assert time.monotonic() < end, listed()
    assert alter("readers", TopicPartition(TOPIC, 0, 1)) == [None]
    it.delete_topics([TOPIC])[TOPIC].result(SOON)
    assert offsets("readers") == {}
    assert error_of(it.delete_consumer_groups(["readers"])["readers"]) is None
    assert listed() == {}


globals()[sys.argv[1]](*sys.argv[2:])
