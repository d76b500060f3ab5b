"""What many rows say they come to is added up to the last digit, whatever their numbers are like."""

from __future__ import annotations

import random

from heartfly.core.calls import amount_text
from heartfly.usage.call_reading import added_up


def test_whole_numbers_places_and_more_digits_than_a_machine_has_are_added_up_exactly() -> None:
    draw = random.Random(5)
    measures = ("c:EUR", "g:USD", "u:input_tokens", "u:seconds", "x:images")
    for n in (1, 2, 30):
        rows = [
            (
                draw.randrange(10**60),
                draw.choice((-1, 1)) * draw.randrange(10 ** draw.choice((20, 48, 49, 70))),
                draw.randrange(10**3) * 10**18,
                draw.choice((10**18, 3 * 10**17, draw.randrange(10**38))),
                draw.randrange(9),
            )
            for _ in range(n)
        ]
        text = " ".join(
            amount_text(measure[0], amount) for row in rows for measure, amount in zip(measures, row, strict=True)
        )
        assert tuple(sum(column) for column in zip(*rows, strict=True)) == added_up(text, measures)


def test_an_integer_of_a_price_and_one_beyond_64_bits_stay_what_they_are() -> None:
    huge = 12345678901234567890123
    assert (2 * 10**48, huge * 10**18) == added_up(f"2 {huge}", ("c:USD", "u:tokens"))
    assert (25 * 10**47, 3 * 10**18) == added_up("2 1 0.5 2", ("c:USD", "u:tokens"))
