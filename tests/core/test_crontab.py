"""A pasted line of a crontab tells when, what, and what to call it."""

from __future__ import annotations

import pytest

from heartfly.core.crontab import name_of, parted
from heartfly.errors import InvalidValueError


@pytest.mark.parametrize(
    ("line", "expression", "command"),
    [
        ("*/15 * * * * /opt/etl.sh", "*/15 * * * *", "/opt/etl.sh"),
        ("  30\t2  *  * 1-5   /usr/bin/pg_dump  -Fc app ", "30 2 * * 1-5", "/usr/bin/pg_dump  -Fc app"),
        ("@daily backup", "@daily", "backup"),
    ],
)
def test_when_and_what_are_told_apart(line: str, expression: str, command: str) -> None:
    assert (expression, command) == parted(line)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("# m h dom mon dow", "comment"), ("MAILTO=ops@example.com", "setting"), ("PATH = /bin", "setting"),
        ("0 3 * * *", "then the command"), ("@daily", "then the command"), ("@reboot /opt/x", "no times on the clock"),
        ("", "then the command"),
    ],
)  # fmt: skip
def test_what_is_no_such_line_is_said_to_be_none(line: str, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said) as caught:
        parted(line)
    assert "line" == caught.value.field


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/opt/etl.sh", "etl"),
        ("cd /srv/app && ./bin/report.py --all", "report"),
        ("LANG=C nice -n 10 /usr/bin/pg_dump app > /tmp/x", "pg_dump"),
        ("bash -c 'sync-photos /mnt'", "sync-photos"),
        ("&& ||", "job"),
        ("/" + "x" * 90, "x" * 60),
    ],
)
def test_it_is_called_after_its_program(command: str, name: str) -> None:
    assert name == name_of(command)
