"""Records to write: their values repeat themselves enough for every codec to have something to do."""
import random

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
START_MS = 1_700_000_000_000


def topic(codec):
    return f"codec-{codec}"


def rows(count, seed, value_bytes=1000):
    """(key, value, headers, time in ms), the times rising by one."""
    chance = random.Random(seed)
    words = [chance.randbytes(value_bytes // 8) for _ in range(64)]
    for at in range(count):
        word = words[at % 64]
        value = b"%d " % at + word * 4 + words[at * 7 % 64] * 4
        yield b"k%d" % (at % 1000), value, [("seed", b"%d" % seed), ("empty", b"")], START_MS + at
