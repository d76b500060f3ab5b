"""What a name may hold."""

from __future__ import annotations

import contextlib
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core import text
from heartfly.errors import InvalidValueError

NOTHING = ["\u00ad", "\u200b", "\u2060", "\u2064", "\u206a", "\u206f", "\ufeff", "\ufffb"]
UNSEEN = {
    "a joiner": "\u200d",
    "a non-joiner": "\u200c",
    "a left-to-right mark": "\u200e",
    "an Arabic letter mark": "\u061c",
    "a variation selector": "\ufe0f",
    "a grapheme joiner": "\u034f",
    "a combining accent alone": "\u0301",
    "a Hangul filler": "\u3164",
    "a leading consonant's filler": "\u115f",
    "a vowel's filler": "\u1160",
    "a half-width filler": "\uffa0",
    "an empty Braille pattern": "\u2800",
    "a null notehead": "\U0001d159",
    "a tag": "\U000e0041",
    "no character": "\uffff",
    "no character of a higher plane": "\U0001fffe",
    "no character in the middle": "\ufdd0",
    "spaces between them": "\u200d\u00a0\u3164 \u2800",
}
SPACES = ["", " ", "\u00a0", "\u2003\u3000", " \u200b ", "\ufeff", "\u2060\u00ad"]


def named(value: str) -> str:
    return text.name(value, field="name", most=100)


@pytest.mark.parametrize(
    "name",
    [
        "Nightly backup",
        "🦋",
        "👩\u200d💻",
        "❤\ufe0f",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می\u200cخواهم",
        "גיבוי (לילה)\u200f",
        "បម្រុងទុក",
        "백업",
        "\u1112\u119e\u11ab",  # Old Hangul, which has no characters of its own
        "a\u3164b",
        "\ue000",  # for private use: some fonts have it
        "\U0001fadf",  # an emoji that this Python may not know yet
        "-",
    ],
)
def test_what_can_be_seen_is_a_name_as_it_is(name: str) -> None:
    assert unicodedata.normalize("NFC", name) == named(name)


def test_a_name_is_in_normal_form_c() -> None:
    assert "Zu\u0308rich" != named("Zu\u0308rich") == "Z\u00fcrich"


@pytest.mark.parametrize("nothing", NOTHING)
def test_what_shows_as_nothing_and_means_nothing_is_dropped(nothing: str) -> None:
    assert "ops" == named(f"{nothing} o{nothing}ps {nothing}")


@pytest.mark.parametrize("name", SPACES)
def test_spaces_alone_are_no_name(name: str) -> None:
    with pytest.raises(InvalidValueError, match="name: must not be empty"):
        named(name)


@pytest.mark.parametrize("name", UNSEEN.values(), ids=UNSEEN)
def test_a_name_that_nobody_can_see_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match="name: must hold a character that can be seen"):
        named(name)


@pytest.mark.parametrize("char", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_a_name_that_reorders_the_text_around_it_is_refused(char: str) -> None:
    with pytest.raises(InvalidValueError, match="tags\\[1\\]: must not hold characters that reorder"):
        text.name(f"invoice{char}fdp.exe", field="tags[1]", most=50)


@pytest.mark.parametrize("char", ["\x00", "\x01", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", chr(0xD800), chr(0xDFFF)])
def test_a_name_with_a_control_character_or_half_a_surrogate_pair_is_refused(char: str) -> None:
    with pytest.raises(InvalidValueError, match="name: must not hold control characters"):
        named(f"a{char}b")


@pytest.mark.parametrize("char", ["\n", "\t"])
def test_a_name_is_one_line(char: str) -> None:
    with pytest.raises(InvalidValueError, match="name: must be one line"):
        named(f"a{char}b")


def test_a_name_is_counted_by_what_is_left_of_it() -> None:
    assert "x" * 100 == named("\u200b" * 50 + "x" * 100 + " ")
    with pytest.raises(InvalidValueError, match="name: must have at most 100 characters"):
        named("x" * 101)


@given(st.text(st.characters() | st.sampled_from("".join([*NOTHING, *UNSEEN.values()])), max_size=30))
def test_an_accepted_name_is_accepted_again_as_it_is(given_name: str) -> None:
    with contextlib.suppress(InvalidValueError):
        name = named(given_name)
        assert name == named(name) == unicodedata.normalize("NFC", name)
        assert name.encode().decode() == name
        assert [name] == name.splitlines()
        assert {unicodedata.category(char) for char in name} - {"Cc", "Cf", "Cs", "Mn", "Me", "Zs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("name", "slug_of_it"),
    [
        ("Nightly backup", "nightly-backup"),
        ("  Größe & Zähler #2  ", "groe-zahler-2"),
        ("already_fine-1", "already_fine-1"),
        ("日本", ""),
        ("a" * 40 + " b", "a" * 20),
        ("aaaaaaaaaaaaaaaaaaa b", "aaaaaaaaaaaaaaaaaaa"),
    ],
)
def test_a_name_becomes_a_slug(name: str, slug_of_it: str) -> None:
    assert slug_of_it == text.slugify(name, most=20)


@pytest.mark.parametrize("value", ["", "A", "a b", "é", "a" * 21, "a/b"])
def test_what_is_no_slug_is_told_with_its_field(value: str) -> None:
    with pytest.raises(InvalidValueError, match="meter: must be 1 to 20 of: a-z, 0-9, - and _"):
        text.slug(value, field="meter", most=20)
    assert "a-1_" == text.slug("a-1_", field="meter", most=20)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\0a\x1bb\x7f\ufffe\ud800", "\ufffda\ufffdb\ufffd\ufffd\ufffd"),
        ("Grüße 🙂", "Grüße 🙂"),
    ],
)
def test_what_no_page_can_show_has_a_sign_in_its_place(found: str, expected: str) -> None:
    assert expected == text.shown(found)


@pytest.mark.parametrize("marks", ["\u0315\u0300" * 225_000, "\u0f73" * 225_000, "\u0344" * 225_000])
def test_marks_without_end_are_refused_before_they_are_put_in_order(marks: str) -> None:
    """That takes the square of how many they are: these took a hundred seconds."""
    before = time.process_time()
    for most in (100, 1_000_000):
        with pytest.raises(InvalidValueError):
            text.many_lines("a" + marks, field="text", most=most)
    assert time.process_time() - before < 1


def test_marks_that_are_written_stay() -> None:
    assert "\u1eaf" + "\u0316" * 99 == text.many_lines("\u0103\u0301" + "\u0316" * 99, field="text", most=200)
    assert "\u1f82" * 100 == text.many_lines("\u03b1\u0313\u0300\u0345" * 100, field="text", most=100)
