"""Requests of flexible versions (KIP-482) on a connection by hand."""
import struct

import raw

NO_TAGS = b"\0"


def varuint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(it):
    return varuint(0) if it is None else varuint(len(it.encode()) + 1) + it.encode()


def array(items):
    return varuint(len(items) + 1) + b"".join(items)


class Answer(raw.Answer):
    def varuint(self):
        number = shift = 0
        while True:
            byte = self.take("B")
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def text(self):
        length = self.varuint()
        return None if length == 0 else self.bytes(length - 1).decode()

    def array(self, item):
        return [item(self) for _ in range(self.varuint() - 1)]

    def tags(self):
        for _ in range(self.varuint()):
            self.varuint()
            self.bytes(self.varuint())


def ask(connection, key, version, body):
    connection.correlation += 1
    frame = struct.pack(">hhi", key, version, connection.correlation) + raw.text("raw") + NO_TAGS + body + NO_TAGS
    connection.socket.sendall(struct.pack(">i", len(frame)) + frame)
    received = connection.receive()
    assert received.correlation == connection.correlation
    answer = Answer(received.data)
    answer.at = received.at
    answer.tags()
    return answer


def metadata(connection, topic):
    """Version 13: (error of the whole answer, error of the topic, its id)"""
    asked = bytes(16) + text(topic) + NO_TAGS
    answer = ask(connection, 3, 13, array([asked]) + b"\0\0")

    def broker(it):
        it.take("i"), it.text(), it.take("i"), it.text(), it.tags()

    def partition(it):
        it.take("hiii")
        for _ in range(3):
            it.array(lambda it: it.take("i"))
        it.tags()

    def found(it):
        error, _, topic_id = it.take("h"), it.text(), it.bytes(16)
        it.take("b"), it.array(partition), it.take("i"), it.tags()
        return error, topic_id

    answer.take("i"), answer.array(broker), answer.text(), answer.take("i")
    ((error, topic_id),) = answer.array(found)
    whole = answer.take("h")
    answer.tags()
    assert answer.at == len(answer.data), "bytes are left"
    return whole, error, topic_id


def delete_topic(connection, topic):
    """Version 5: (error, message)"""
    answer = ask(connection, 20, 5, array([text(topic)]) + struct.pack(">i", 10_000))
    answer.take("i")
    (found,) = answer.array(lambda it: (it.text(), it.take("h"), it.text(), it.tags())[1:3])
    return found
