"""Groups with aiokafka: two consumers share four partitions, one leaves, the other has all; then it is described.

    groups_aiokafka.py ADDRESS
"""
import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

SOON = 30
PARTITIONS = 4
TOPIC = "orders"


class Member(ConsumerRebalanceListener):
    def __init__(self, address):
        self.mine, self.read = set(), set()
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=address,
            group_id="readers",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
            fetch_max_wait_ms=50,
        )
        self.consumer.subscribe([TOPIC], listener=self)

    async def on_partitions_assigned(self, assigned):
        self.mine = {it.partition for it in assigned}

    async def on_partitions_revoked(self, revoked):
        self.mine = set()

    async def poll(self):
        for partition, records in (await self.consumer.getmany(timeout_ms=50)).items():
            self.read |= {(partition.partition, record.offset) for record in records}


async def until(what, ready, *members):
    try:
        async with asyncio.timeout(SOON):
            while not ready():
                await asyncio.gather(*(member.poll() for member in members))
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}; {[(it.mine, len(it.read)) for it in members]}")


async def main(address):
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for at in range(400):
            await producer.send(TOPIC, b"%d" % at, partition=at % PARTITIONS)
    one, two = Member(address), Member(address)
    await asyncio.gather(one.consumer.start(), two.consumer.start())
    await until("both have two partitions", lambda: len(one.mine) == len(two.mine) == 2, one, two)
    await until("all is read", lambda: len(one.read | two.read) == 400, one, two)
    await one.consumer.commit()
    await two.consumer.commit()
    await two.consumer.stop()
    await until("the first has all", lambda: one.mine == set(range(PARTITIONS)), one)
    committed = [await one.consumer.committed(TopicPartition(TOPIC, it)) for it in range(PARTITIONS)]
    assert committed == [100] * PARTITIONS, committed
    assert await admin.list_consumer_groups() == [("readers", "consumer")]
    (described,) = await admin.describe_consumer_groups(["readers"])
    assert "Stable" in str(described), described
    offsets = await admin.list_consumer_group_offsets("readers")
    assert sorted(it.offset for it in offsets.values()) == [100] * PARTITIONS, offsets
    await one.consumer.stop()
    await admin.close()


asyncio.run(main(sys.argv[1]))
