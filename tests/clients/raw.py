"""A Kafka connection by hand, for what no well-behaved client sends. Standard library only; no flexible versions."""
import socket
import struct
import time

NO_PRODUCER = (-1, -1, -1)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _entry(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = [_entry(byte) for byte in range(256)]


def varint(number):
    number = number << 1 ^ number >> 63
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def batch(values, producer=NO_PRODUCER, time_ms=None, attributes=0, count=None, delta=None):
    """A record batch of `values` without keys; `producer` is its id, epoch and first sequence."""
    time_ms = int(time.time() * 1000) if time_ms is None else time_ms
    body = b""
    for at, value in enumerate(values):
        record = b"\0" + varint(0) + varint(at) + varint(-1) + varint(len(value)) + value + varint(0)
        body += varint(len(record)) + record
    count = len(values) if count is None else count
    delta = len(values) - 1 if delta is None else delta
    covered = struct.pack(">hiqqqhii", attributes, delta, time_ms, time_ms, *producer, count) + body
    return struct.pack(">qiibI", 0, len(covered) + 9, -1, 2, crc32c(covered)) + covered


def batches(data):
    """(base offset, last offset, bytes) of every batch in `data`, which must hold whole ones only."""
    while data:
        base, length = struct.unpack_from(">qi", data)
        assert len(data) >= 12 + length, f"a batch of {12 + length} bytes was cut to {len(data)}"
        yield base, base + struct.unpack_from(">i", data, 23)[0], data[: 12 + length]
        data = data[12 + length :]


def text(it):
    return struct.pack(">h", -1) if it is None else struct.pack(">h", len(it.encode())) + it.encode()


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def connect(address, patience=30):
    """A connection that was answered; waits for a node that is on its way."""
    until = time.monotonic() + patience
    while True:
        try:
            connection = Connection(address)
            connection.ask(18, 0, b"")
            return connection
        except ConnectionError:
            assert time.monotonic() < until, "the node did not come"
            time.sleep(0.02)


class Answer:
    """Reads fields one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        fields = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return fields[0] if len(fields) == 1 else fields

    def bytes(self, length):
        self.at += max(length, 0)
        return self.data[self.at - length : self.at] if length >= 0 else None

    def text(self):
        found = self.bytes(self.take("h"))
        return found if found is None else found.decode()

    def array(self, item):
        return [item(self) for _ in range(self.take("i"))]


class Connection:
    def __init__(self, address, timeout=30):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.correlation = 0

    def send(self, key, version, body):
        self.correlation += 1
        frame = struct.pack(">hhi", key, version, self.correlation) + text("raw") + body
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self):
        """The next answer; its correlation id is in `correlation`."""
        answer = Answer(self._exactly(struct.unpack(">i", self._exactly(4))[0]))
        answer.correlation = answer.take("i")
        return answer

    def _exactly(self, length):
        got = b""
        while len(got) < length:
            more = self.socket.recv(length - len(got))
            if not more:
                raise ConnectionError("the node closed the connection")
            got += more
        return got

    def ask(self, key, version, body):
        self.send(key, version, body)
        answer = self.receive()
        assert answer.correlation == self.correlation
        return answer

    def create_topic(self, name, partitions=1, configs=(), replicas=1):
        configs = [text(key) + text(value) for key, value in dict(configs).items()]
        topic = text(name) + struct.pack(">ih", partitions, replicas) + array([]) + array(configs)
        answer = self.ask(19, 4, array([topic]) + struct.pack(">ib", 10_000, 0))
        answer.take("i")
        (error,) = answer.array(lambda it: (it.text(), it.take("h"), it.text())[1])
        return error

    def delete_topic(self, name):
        answer = self.ask(20, 3, array([text(name)]) + struct.pack(">i", 10_000))
        answer.take("i")
        (error,) = answer.array(lambda it: (it.text(), it.take("h"))[1])
        return error

    def delete_records(self, topic, partition, offset):
        """(low watermark, error)"""
        asked = text(topic) + array([struct.pack(">iq", partition, offset)])
        answer = self.ask(21, 1, array([asked]) + struct.pack(">i", 10_000))
        answer.take("i")
        ((answer,),) = answer.array(lambda it: (it.text(), it.array(lambda it: it.take("iqh")[1:]))[1])
        return answer

    def send_produce(self, topic, partition, records, acks=-1):
        body = text(None) + struct.pack(">hi", acks, 10_000)
        one = struct.pack(">ii", partition, len(records)) + records
        self.send(0, 8, body + array([text(topic) + array([one])]))

    def receive_produce(self):
        """(error, base offset, error message, append time)"""

        def partition(it):
            _, error, base, time_ms, _ = it.take("ihqqq")
            it.array(lambda it: (it.take("i"), it.text()))
            return error, base, it.text(), time_ms

        ((answer,),) = self.receive().array(lambda it: (it.text(), it.array(partition))[1])
        return answer

    def produce(self, topic, partition, records, acks=-1):
        self.send_produce(topic, partition, records, acks)
        return self.receive_produce()

    def fetch(self, topic, partition, offset, max_bytes=1 << 20, wait_ms=0, min_bytes=1):
        """(error, high watermark, records)"""
        error, high, _, records = self.fetch_told(topic, partition, offset, max_bytes, wait_ms, min_bytes)
        return error, high, records

    def fetch_told(self, topic, partition, offset, max_bytes=1 << 20, wait_ms=0, min_bytes=1):
        """(error, high watermark, log start, records)"""
        asked = struct.pack(">iiqqi", partition, -1, offset, -1, max_bytes)
        body = struct.pack(">iiiibii", -1, wait_ms, min_bytes, max_bytes, 0, 0, -1)
        answer = self.ask(1, 11, body + array([text(topic) + array([asked])]) + array([]) + text(""))

        def found(it):
            _, error, high, _, start = it.take("ihqqq")
            it.array(lambda it: it.take("qq"))
            it.take("i")
            return error, high, start, it.bytes(it.take("i"))

        _, error, _ = answer.take("ihi")
        assert error == 0, error
        ((answer,),) = answer.array(lambda it: (it.text(), it.array(found))[1])
        return answer

    def list_offset(self, topic, partition, time_ms):
        """(error, timestamp, offset); -1 asks for the end, -2 for the start"""
        asked = struct.pack(">iiq", partition, -1, time_ms)
        answer = self.ask(2, 5, struct.pack(">ib", -1, 0) + array([text(topic) + array([asked])]))
        answer.take("i")
        ((answer,),) = answer.array(lambda it: (it.text(), it.array(lambda it: it.take("ihqqi")[1:4]))[1])
        return answer

    def end(self, topic, partition=0):
        error, _, offset = self.list_offset(topic, partition, -1)
        assert error == 0, error
        return offset

    def metadata(self, topic, create=False):
        """(error, leader epoch of each partition)"""
        answer = self.ask(3, 7, array([text(topic)]) + bytes([create]))
        answer.take("i")
        answer.array(lambda it: (it.take("i"), it.text(), it.take("i"), it.text()))
        answer.text(), answer.take("i")

        def partition(it):
            _, _, _, epoch = it.take("hiii")
            for _ in range(3):
                it.array(lambda it: it.take("i"))
            return epoch

        (topic,) = answer.array(lambda it: (it.take("h"), it.text(), it.take("b"), it.array(partition)))
        return topic[0], topic[3]

    def new_producer(self):
        """(producer id, epoch)"""
        answer = self.ask(22, 1, text(None) + struct.pack(">i", 60_000))
        _, error, producer, epoch = answer.take("ihqh")
        assert error == 0, error
        return producer, epoch
