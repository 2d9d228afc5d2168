"""The lines of the campaign: which test tries a case, and how many cases are run at a time.

A line's tests are told the cases by CARRICK_CASES=from..to and name each that broke by a line "case N: what broke".
"""

from typing import NamedTuple


class Line(NamedTuple):
    """A row: cases are numbered from 0 and never run out, and the same number is the same case for ever."""

    name: str  # of the list of faults; what follows a slash tells several rows of one line apart
    package: str
    target: str  # --test
    tests: tuple[str, ...]  # whole names; each runs all cases of a portion
    portion: int  # cases that are run at a time: half a minute or so, which is what a kill loses
    case: str  # what one is
    limit_s: int = 600  # for a portion; one that takes longer hangs
    first: tuple[str, ...] = ()  # names of tests that have to pass before, once a chunk
    needs: tuple[str, ...] = ()  # "programs": carrickd and carrick; "clients": those of scripts/clients


LINES = [
    Line(
        "F1", "carrick-tests", "simulation", ("chaos::the_promises_hold_whatever_happens",), 1000,
        "a seed: two simulated sites and a line, any faults in any order; eight planted defects have to be caught first",
        first=("planted::",),
    ),
]
