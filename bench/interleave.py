"""Every order in which a ping, the judge, the clock and a kill can meet at a deadline: does any contradict?

    python -m bench.interleave                       scenes until 10,000,000 orders have been looked at
    python -m bench.interleave --most 1000000000     as many as there are

None is drawn by chance: of each scene all orders are counted, those together that have led to the same state. The last
line sums up. A wrong order is told step by step, and ends the command with 1.
"""

from __future__ import annotations

import argparse
import time

from tests.interleaved.orders import SCENES, Counted, count


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.interleave", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--most", type=int, default=10_000_000, help="no further scene is begun after so many orders")
    asked = parser.parse_args()
    every: list[Counted] = []
    began = time.process_time()
    for scene in SCENES:
        if sum(one.n_orders for one in every) >= asked.most:
            break
        try:
            every.append(count(scene))
        except AssertionError as wrong:
            print(wrong)
            return 1
        print(_told(every[-1]), flush=True)
    n_orders, took = sum(one.n_orders for one in every), time.process_time() - began
    print(f"scenes: {len(every)}, orders: {n_orders:,}, contradictions: 0, CPU seconds: {took:.0f}")
    return 0


def _told(one: Counted) -> str:
    known = "".join(f"\n    {n:,}: {why}" for why, n in sorted(one.exceptions.items()))
    return f"{one.scene.name}: {one.n_orders:,} orders, {one.n_states:,} states{known}"


if __name__ == "__main__":
    raise SystemExit(main())
