#!/usr/bin/env python3
"""An independent reader of data directories: it shares nothing with Carrick but the description of the layout.

    reader.py show DIR                       one JSON line per partition; exit 1 if anything in a file is not as it should be
    reader.py compare DIR_A DIR_B A=B ...    one JSON line per partition of topic A of DIR_A and its twin, topic B of DIR_B
                                             (topic ids, as the directories under topics/ are named); exit 1 unless they are
                                             equal byte for byte but for the leader epochs

What is wrong is also said on stderr, with its place. A running node's newest bytes may be torn: stop it first.
"""
import base64, hashlib, json, pathlib, struct, sys

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PAGE = 4096
HEADER = struct.Struct(">qiibIhiqqqhii")  # a record batch of magic 2 up to its records: KIP-98
EPOCH = slice(12, 16)  # the one field that a mirror may change, and that no checksum covers


def table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


try:
    from crc32c import crc32c  # a thousand times as fast
except ImportError:

    def crc32c(data, table=tuple(table())):
        crc = 0xFFFFFFFF
        for byte in bytes(data):
            crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
        return crc ^ 0xFFFFFFFF


class Partition:
    """The files of one partition, read once from the first to the last."""

    def __init__(self, path):
        self.path, self.topic, self.index = path, path.parent.name, int(path.name)
        self.files = sorted(path.glob("*.seg"))
        self.faults = {"header_faults": 0, "crc_failures": 0, "disorder": 0, "torn_bytes": 0}

    def fault(self, kind, place, what, by=1):
        self.faults[kind] += by
        print(f"{place}: {what}", file=sys.stderr)

    def check_page(self, file, page):
        magic, version, _, topic, index, base = struct.unpack_from(">8sH16s16sIq", page)
        if magic != b"CARRKSEG" or crc32c(page[: PAGE - 4]) != struct.unpack_from(">I", page, PAGE - 4)[0]:
            return self.fault("header_faults", file, "its first page is not a segment's")
        named = base64.urlsafe_b64encode(topic).decode().rstrip("="), index, f"{base:020}.seg"
        if version != 1 or any(page[78 : PAGE - 4]) or named != (self.topic, self.index, file.name):
            self.fault("header_faults", file, f"version {version}, a segment of {named}")

    def batches(self):
        """(place, base offset, bytes) of every batch."""
        for file in self.files:
            data = memoryview(file.read_bytes())
            if len(data) < PAGE:
                self.fault("torn_bytes", file, "ends inside its first page", len(data))
                continue
            self.check_page(file, data[:PAGE])
            at = PAGE
            while at < len(data):
                place = f"{file} at byte {at}"
                size = 12 + struct.unpack_from(">i", data, at + 8)[0] if len(data) - at >= HEADER.size else 0
                if size < HEADER.size or at + size > len(data):
                    self.fault("torn_bytes", place, "no whole batch", len(data) - at)
                    break
                yield place, struct.unpack_from(">q", data, at)[0], data[at : at + size]
                at += size

    def show(self):
        counts = dict.fromkeys(("batches", "records", "bytes", "holes") + CODECS, 0)
        sha, first, end = hashlib.sha256(), None, None
        for place, base, batch in self.batches():
            _, _, _, magic, crc, attributes, delta, *_, count = HEADER.unpack_from(batch)
            codec = (CODECS + ("unknown",) * 3)[attributes & 7]
            if magic != 2 or codec == "unknown" or delta < 0 or crc32c(batch[21:]) != crc:
                self.fault("crc_failures", place, f"the batch of offset {base} is damaged")
            if end is not None and base < end:
                self.fault("disorder", place, f"offset {base} stands behind {end}")
            hole = end is not None and base > end
            first, end = base if first is None else first, base + delta + 1
            for key, by in (("batches", 1), ("records", count), ("bytes", len(batch)), ("holes", hole), (codec, 1)):
                counts[key] = counts.get(key, 0) + by
            for part in batch[: EPOCH.start], bytes(4), batch[EPOCH.stop :]:
                sha.update(part)
        ends = {"first": first or 0, "end": max(end or 0, *(int(file.stem) for file in self.files), 0)}
        more = {"set_aside": len(list(self.path.glob("*.cut"))), "sha256": sha.hexdigest()}
        return {"topic": self.topic, "partition": self.index} | ends | counts | self.faults | more


def partitions(root, topic="*"):
    found = (path for path in pathlib.Path(root, "topics").glob(f"{topic}/*") if path.name.isdigit())
    return [Partition(path) for path in sorted(found, key=lambda it: (it.parent.name, int(it.name)))]


def differing(a, b):
    return sum(x != y for x, y in zip(a, b)) + abs(len(a) - len(b)) if a != b else 0


def compare(a, b):
    """Batch by batch, in the order of their offsets; what one side lacks is counted apart."""
    names = ("batches", "bytes", "epoch_bytes_differing", "bytes_differing", "only_a", "only_b", "bytes_only_a", "bytes_only_b")
    counts = dict.fromkeys(names, 0)
    left, right = a.batches() if a else iter(()), b.batches() if b else iter(())
    x, y = next(left, None), next(right, None)
    while x or y:
        if x and y and x[1] == y[1]:
            epoch = differing(x[2][EPOCH], y[2][EPOCH])
            other = differing(x[2], y[2]) - epoch
            for key, by in (("batches", 1), ("bytes", len(x[2])), ("epoch_bytes_differing", epoch)):
                counts[key] += by
        else:
            lonely = "only_b" if not x or (y and y[1] < x[1]) else "only_a"
            other = 0
            counts[lonely] += 1
            counts[f"bytes_{lonely}"] += len((y if lonely == "only_b" else x)[2])
        if other and not counts["bytes_differing"]:
            print(f"first difference: {x and x[0]} and {y and y[0]}", file=sys.stderr)
        counts["bytes_differing"] += other
        took_x, took_y = x and (not y or x[1] <= y[1]), y and (not x or y[1] <= x[1])
        x, y = next(left, None) if took_x else x, next(right, None) if took_y else y
    torn = sum(sum(it.faults.values()) for it in (a, b) if it)
    return {"topic": (a or b).topic, "partition": (a or b).index} | counts | {"faults": torn}


def main(verb, *arguments):
    if verb == "show" and len(arguments) == 1:
        lines = [it.show() for it in partitions(arguments[0])]
        bad = ("header_faults", "crc_failures", "disorder", "torn_bytes")
    elif verb == "compare" and len(arguments) > 2:
        lines, bad = [], ("bytes_differing", "only_a", "only_b", "faults")
        for ours, theirs in (pair.split("=", 1) for pair in arguments[2:]):
            sides = [{it.index: it for it in partitions(*side)} for side in zip(arguments, (ours, theirs))]
            if not all(sides):
                sys.exit(f"there is nothing of {ours} on the one side, or of {theirs} on the other")
            lines += [compare(sides[0].get(at), sides[1].get(at)) for at in sorted(set(sides[0]) | set(sides[1]))]
    else:
        sys.exit(__doc__)
    for line in lines:
        print(json.dumps(line))
    sys.exit(any(line[key] for line in lines for key in bad))


main(*(sys.argv[1:] or ("",)))
