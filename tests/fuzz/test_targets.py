"""Each target of the fuzzing takes its seeds and some hundred spoiled ones; long runs are `make fuzz`."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS, Target

N = 500


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_comes_in_is_more_than_refused(name: str) -> None:
    target, rng = TARGETS[name], random.Random(name)

    for seed in target.seeds:
        target.run(seed)
    for _ in range(N):
        target.run(spoiled(rng.choice(target.seeds), target, rng))


def spoiled(data: bytes, target: Target, rng: random.Random) -> bytes:
    """Bytes changed, taken out, doubled, or another seed's tail put on."""
    found = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(found) + 1)
        kind = rng.randrange(4)
        if kind == 0 and at < len(found):
            found[at] = rng.randrange(256)
        elif kind == 1:
            del found[at : at + rng.randrange(8)]
        elif kind == 2:
            found[at:at] = found[at : at + rng.randrange(30)]
        else:
            found[at:] = rng.choice(target.seeds)[at:]
    return bytes(found)
