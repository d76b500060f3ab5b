"""What a mail says, out of its bytes: its text whatever it is packed in, and hostile mails within bounds."""

from __future__ import annotations

import base64
import time
from email.message import EmailMessage

import pytest

from heartfly.core.mail import Mail, read

MOST = 10_000


def mail(text: str = "rows=3", *, subject: str = "Backup OK", **headers: str) -> bytes:
    made = EmailMessage()
    made["Subject"] = subject
    made["From"] = "root@db1.example.org"
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return bytes(made)


def test_a_plain_mail_is_its_subject_its_sender_and_its_text() -> None:
    found = read(mail(), most=MOST)

    assert Mail(subject="Backup OK", sender="root@db1.example.org", text="rows=3\n") == found
    assert "Subject: Backup OK\nFrom: root@db1.example.org\n\nrows=3\n" == found.body


@pytest.mark.parametrize("subject", ["Größe: 7", "日本語", "a" * 200])
def test_words_of_any_script_are_read_as_they_were_written(subject: str) -> None:
    found = read(mail(f"Zeile {subject}\n", subject=subject), most=MOST)

    assert (subject, f"Zeile {subject}\n") == (found.subject, found.text)


def test_of_several_parts_the_plain_text_is_read_and_no_attachment() -> None:
    made = EmailMessage()
    made["Subject"] = "x"
    made.set_content("plain")
    made.add_alternative("<p>html</p>", subtype="html")
    made.add_attachment("attached", filename="log.txt")

    assert "plain\n" == read(bytes(made), most=MOST).text


def test_of_a_mail_in_html_alone_what_can_be_read_is_read() -> None:
    made = EmailMessage()
    made.set_content(
        "<html><style>p {}</style><script>no()</script><p>Rows:&nbsp;3 &lt; 4<br>done</p></html>", subtype="html"
    )

    assert "Rows:\N{NO-BREAK SPACE}3 < 4\ndone" == read(bytes(made), most=MOST).text


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\r\n\r\n", b"no header at all", b"\xff\xfe\x00" * 100, b"Subject: =?utf-8?b?!!!?=\r\n\r\nx",
        b"Subject: =?no-such-charset?q?x?=\r\n\r\nx", b"Content-Type: text/plain; charset=no-such\r\n\r\n\xff",
        b"Content-Type: text/plain; charset=\0\r\n\r\nx", b"Content-Type: text/plain; charset=idna\r\n\r\n\xff",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!",
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 666 x\n!!",
        b"Content-Type: multipart/mixed\r\n\r\nx", b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 666 x\n!\x7f\x7f",
        b"Content-Type: text/plain; charset=base64\r\n\r\nx", b"Subject: =?utf-8?b?A?=\r\n\r\nx",
        b"Subject: a\r\n b\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_hardly_a_mail_is_read_all_the_same(raw: bytes) -> None:
    found = read(raw, most=MOST)

    assert "" == found.why_not
    assert found.body.encode("utf-8", "replace")


def test_what_cannot_be_decoded_is_kept_as_it_came() -> None:
    assert "=?utf-8?b?A?=" == read(b"Subject: =?utf-8?b?A?=\r\n\r\nx", most=MOST).subject
    raw = b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 666 x\n!\x7f\x7f"
    assert "begin 666 x\n!\x7f\x7f" == read(raw, most=MOST).text


def test_parts_in_parts_without_end_take_no_time_and_their_text_is_kept_as_it_is() -> None:
    nested = b"Subject: deep\r\n"
    for n in range(10_000):
        nested += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
    began = time.process_time()

    found = read(nested, most=MOST)

    assert ("deep", MOST) == (found.subject, len(found.text))
    assert 5 > time.process_time() - began


@pytest.mark.parametrize(
    "text", ["<" * 1_000_000, "<script>" * 100_000, "&" * 1_000_000, "<a " * 300_000, "\n " * 500_000]
)
def test_html_that_would_take_for_ever_does_not(text: str) -> None:
    packed = base64.encodebytes(text.encode())
    raw = b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n" + packed
    began = time.process_time()

    found = read(raw, most=MOST)

    assert MOST >= len(found.text)
    assert 5 > time.process_time() - began


@pytest.mark.parametrize("charset", ["punycode", "PunyCode", "idna"])
def test_a_text_that_is_said_to_be_a_host_s_name_is_read_as_utf8(charset: str) -> None:
    """To read it as one would take the square of its length."""
    raw = f"Subject: =?{charset}?q?a-b?=\r\nContent-Type: text/plain; charset={charset}\r\n\r\nRows-3 \u00e4".encode()

    found = read(raw, most=MOST)

    assert ("a-b", "Rows-3 \u00e4") == (found.subject, found.text)


def test_a_text_is_kept_up_to_its_bound() -> None:
    assert "a" * 100 == read(mail("a" * 5_000), most=100).text[:100]
    assert 2_000 >= len(read(b"Subject: " + b"a" * 1_000_000 + b"\r\n\r\n", most=MOST).subject)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"X_Heartfly_Kind": "check.down"}, "an alert of Heartfly's own"),
        ({"Auto_Submitted": "auto-replied (vacation)"}, "answers by itself"),
        ({"Auto_Submitted": "auto-generated"}, ""),
        ({"Auto_Submitted": "no"}, ""),
    ],
)
def test_what_answers_by_itself_is_no_signal(headers: dict[str, str], words: str) -> None:
    assert words in read(mail(**headers), most=MOST).why_not
    assert bool(words) == bool(read(mail(**headers), most=MOST).why_not)


@pytest.mark.parametrize(("hops", "goes_round"), [(30, False), (31, True)])
def test_a_mail_that_goes_round_in_circles_ends_here(hops: int, goes_round: bool) -> None:  # noqa: FBT001 - a table of cases
    raw = b"Received: from a by b; Mon, 2 Mar 2026 10:00:00 +0000\r\n" * hops + mail()

    assert goes_round == ("circles" in read(raw, most=MOST).why_not)


def test_a_header_whose_parameters_would_take_long_to_read_is_no_signal() -> None:
    for name in ("Content-Type: text/plain", "Content-Type: multipart/mixed", "content-disposition: inline"):
        long = f"{name}; ".encode() + b"a*1=x;\r\n " * 200_000
        for raw in (b"Subject: x\r\n" + long + b"\r\n\r\nx", _with_part(long)):
            began = time.process_time()
            assert "a header of it is too long" == read(raw, most=1_000).why_not
            assert time.process_time() - began < 1


def _with_part(header: bytes) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + header + b"\r\n\r\nx\r\n--b--\r\n"
