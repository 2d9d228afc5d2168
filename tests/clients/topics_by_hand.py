"""Creates and deletes topics until the node is gone, then waits for it and looks what is there:

    topics_by_hand.py ADDRESS ACKS    a line of ACKS is an answered request
"""
import sys

import raw


def churn(address, acks):
    """What is known to be there and what is not; the one request that was not answered is in doubt."""
    there, gone, doubt = set(), set(), None
    connection = raw.Connection(address)
    try:
        for at in range(1_000_000):
            name = f"topic-{at}"
            doubt = name
            assert connection.create_topic(name, 1 + at % 3) == 0
            there.add(name)
            if at % 3 == 2:
                doubt = f"topic-{at - 1}"
                assert connection.delete_topic(doubt) == 0
                there.remove(doubt)
                gone.add(doubt)
            doubt = None
            print(name, file=acks, flush=True)
    except ConnectionError:
        return there - {doubt}, gone - {doubt}


def main(address, acks):
    with open(acks, "w") as acks:
        there, gone = churn(address, acks)
    connection = raw.connect(address)
    for name in there:
        error, epochs = connection.metadata(name)
        assert (error, len(epochs)) == (0, 1 + int(name.split("-")[1]) % 3), (name, error, epochs)
        assert connection.produce(name, 0, raw.batch([name.encode()]))[:2] == (0, 0), name
    for name in gone:
        assert connection.metadata(name)[0] == 3, name
    print(f"{len(there)} topics are there, {len(gone)} are not")


main(*sys.argv[1:])
