"""Whole crontabs, as Debian's cron and cronie read them; and their lines, edited so that jobs tell of themselves."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heartfly.core.scheduled import crontab_text
from heartfly.core.scheduled.found import Found, Job, proposals
from heartfly.core.scheduled.tell import Form, crontab_line, demand_plain, edited, without_run
from heartfly.errors import InvalidValueError

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
UUID = "0b7a3a4c-0b7a-4a4c-8b7a-0b7a3a4c0b7a"
URL = f"https://beat.example.org/ping/{UUID}"
DEBIAN = """\
# /etc/crontab: system-wide crontab
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin

# *  *  *  *  * user-name command to be executed
17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly
25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
47 6\t* * 7\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }
30 3 * * 0 root test -e /run/systemd/system || SERVICE_MODE=1 /usr/lib/e2fsprogs/e2scrub_all_cron
#
"""


def read(text: str, *, system: bool = False, zone: str = "Europe/Berlin") -> Found:
    return crontab_text.read(text, where="/etc/crontab", zone=zone, now=NOW, system=system)


def only(text: str) -> Job:
    found = read(text)
    assert ([], 1) == (list(found.left), len(found.jobs))
    return found.jobs[0]


def test_debians_own_crontab_is_read() -> None:
    found = read(DEBIAN, system=True)

    assert [] == found.left
    assert [
        ("cron.hourly", "17 * * * *", "root", 6), ("cron.daily", "25 6 * * *", "root", 7),
        ("cron.weekly", "47 6 * * 7", "root", 8), ("e2scrub_all_cron", "30 3 * * 0", "root", 9),
    ] == [(one.title, one.times.expression, one.user, one.line) for one in found.jobs]  # fmt: skip
    assert {"Europe/Berlin"} == {one.times.zone for one in found.jobs}
    assert [900, 3600, 3600, 3600] == [one.grace.total_seconds() for one in found.jobs]


def test_settings_hold_for_the_lines_below_them() -> None:
    first, second = read(
        '0 3 * * * /opt/a\nCRON_TZ="America/New_York"\nSHELL = /bin/bash\n@daily /opt/b x\\%y%in%put\n'
    ).jobs

    assert ("Europe/Berlin", "America/New_York") == (first.times.zone, second.times.zone)
    assert second.spelled is not None
    assert ("/bin/bash", "/opt/b x\\%y", "%in%put") == (
        second.spelled.shell, second.spelled.command, second.spelled.rest,
    )  # fmt: skip
    assert "/opt/b x%y" == second.command
    assert second.notes


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("@reboot /opt/x\n", "@reboot runs at no time"),
        ("0 3 * * *\n", "it has no command"),
        ("0 3 * * * %x\n", "no command"),
        ("61 3 * * * /opt/x\n", "minute"),
        ("0 3 30 2 * /opt/x\n", "never fires"),
        ("@never /opt/x\n", "names no times"),
        ("CRON_TZ=Mars/Base\n0 3 * * * /opt/x\n", "is not a time zone"),
        ("0 3 * * * /opt/x", "has no end"),
        ("0 3 * * * /opt/\x00x\n", "no text"),
        ("nonsense\n", "no five fields"),
    ],
)
def test_what_is_not_taken_is_told_with_its_line(line: str, why: str) -> None:
    found = read(line)

    assert [] == found.jobs
    (left,) = found.left
    assert why in left.why
    assert line.count("\n", 0, len(line) - 1) + 1 == left.line


def test_a_file_that_is_too_long_is_told_and_not_read() -> None:
    found = read("#" * (crontab_text.MOST_CHARACTERS + 1))

    assert ([], ["it is longer than 1000000 characters"]) == (list(found.jobs), [left.why for left in found.left])
    assert [] == list(read("#" * crontab_text.MOST_CHARACTERS).left)


def test_what_was_found_in_two_places_stands_together_and_each_says_where() -> None:
    both = read("0 3 * * * /opt/x\n") + read("# why\nnonsense\n")

    assert (["/etc/crontab:1"], ["/etc/crontab:2"]) == (
        [job.place for job in both.jobs],
        [one.place for one in both.left],
    )


def test_lines_of_the_system_name_a_user() -> None:
    found = read("0 3 * * * root\n0 3 * * * ada /opt/x\n", system=True)

    assert ["it names a user and no command, or neither"] == [one.why for one in found.left]
    assert [("ada", "/opt/x")] == [(one.user, one.command) for one in found.jobs]


def test_a_comment_has_a_line_of_its_own_and_a_setting_may_look_like_a_job() -> None:
    assert (
        "/opt/x # not a comment"
        == only("  # 0 3 * * * /opt/y\n \t0 3 * * * /opt/x # not a comment\nA=0 3 * * * b\n").command
    )


def test_names_and_slugs_tell_jobs_apart_and_stay_when_others_go() -> None:
    text = "0 1 * * * /opt/backup a\n0 2 * * * /opt/backup b\n0 3 * * * /opt/backup c\n"
    slugs = [one.slug for one in proposals(read(text).jobs, host="web1")]
    fewer = [one.slug for one in proposals(read(text.replace("0 2 * * * /opt/backup b\n", "")).jobs, host="web1")]

    assert 3 == len(set(slugs))
    assert "web1-backup" == slugs[0]
    assert [slugs[0], slugs[2]] == fewer
    asked = proposals(read(text).jobs, host="web1", tags=["team-a"])[0].as_asked()
    assert ("backup on web1", ["crontab", "on:web1", "team-a"]) == (asked["name"], asked["tags"])
    assert asked["description"].startswith("From /etc/crontab on web1.\n")


def test_jobs_that_are_the_same_in_all_have_slugs_of_their_own() -> None:
    slugs = [one.slug for one in proposals(read("0 1 * * * /opt/backup\n" * 4).jobs, host="")]

    assert 4 == len(set(slugs))
    assert [f"{slugs[1]}-2", f"{slugs[1]}-3"] == slugs[2:]


# --- how a line tells of itself ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("/opt/backup --all", f"heartfly run --check {URL} -- /opt/backup --all"),
        ("cd /srv && ./x", f"heartfly run --check {URL} -- /bin/sh -c 'cd /srv && ./x'"),
        ("exit 3", f"heartfly run --check {URL} -- /bin/sh -c 'exit 3'"),
        (
            "echo 'a b' >/dev/null 2>&1",
            f"heartfly run --check {URL} -- /bin/sh -c 'echo '\\''a b'\\'' >/dev/null 2>&1'",
        ),
        ("date +\\%F", f"heartfly run --check {URL} -- /bin/sh -c 'date +\\%F'"),
        ("mail ada%Hello%", f"heartfly run --check {URL} -- mail ada%Hello%"),
    ],
)
def test_a_line_runs_its_command_under_heartfly_run(command: str, wanted: str) -> None:
    job = only(f"0 3 * * * {command}\n")
    assert job.spelled is not None
    line = crontab_line(job.spelled, URL)

    assert f"0 3 * * * {wanted}" == line
    again = only(line + "\n")
    assert {UUID} == again.pings
    assert (job.title, job.command, job.times) == (again.title, again.command, again.times)


_WORDS = st.lists(
    st.sampled_from(
        [
            "echo",
            "a b",
            "'",
            '"',
            "\\%",
            "$HOME",
            "`true`",
            "#",
            "*",
            ";",
            "&&",
            "||",
            ">",
            "/dev/null",
            "exit",
            "3",
            "(",
            ")",
        ]
    ),
    min_size=1,
    max_size=8,
).map(" ".join)


@given(_WORDS, st.sampled_from(Form))
@example("echo '\\%' # x", Form.RUN)
@example("exit 3", Form.CURL)
def test_whatever_the_command_its_shell_reads_the_same_text(command: str, form: Form) -> None:
    """`set -n` apart, the shell that cron starts hands the job's own text on unchanged."""
    job = only(f"0 3 * * * {command}\n")
    assert job.spelled is not None
    line = crontab_line(job.spelled, URL, form=form, program="printf '%s\\0'" if form is Form.RUN else "")
    shell_reads = line.removeprefix("0 3 * * * ").replace("\\%", "%")
    given_to_shell = shell_reads if form is Form.RUN else "printf '%s\\0' " + shell_reads.rpartition("; curl")[0]
    done = subprocess.run(["/bin/sh", "-c", given_to_shell], capture_output=True, check=True, timeout=20)
    words = done.stdout.decode().split("\0")[:-1]
    words = words[3:] if form is Form.RUN else words

    own = command.strip().replace("\\%", "%")
    assert own == (words[2] if words[:2] == ["/bin/sh", "-c"] else " ".join(words))


def test_a_file_is_edited_in_the_lines_that_are_named_and_nowhere_else() -> None:
    text = "# ünïcode\r\n0 3 * * * /opt/a\r\n\n0 4 * * * /opt/b"

    assert text.replace("/opt/a", "/opt/c") == edited(text, {2: "0 3 * * * /opt/c"})
    assert text == edited(text, {})
    assert text.replace("/opt/b", "/opt/d") == edited(text, {4: "0 4 * * * /opt/d"})


@pytest.mark.parametrize(
    ("command", "own"),
    [
        ("/usr/local/bin/heartfly run --check x --lock /run/x -- /opt/a", "/opt/a"),
        ("python3 /usr/local/bin/heartfly-run.py --check x -- sh -c 'a && b'", "a && b"),
        (f"/opt/a; curl -fsS -o /dev/null {URL}/$?", "/opt/a"), ("/opt/a && curl https://hc-ping.com/x", "/opt/a"),
        ("/opt/a; curl -o x ftp://y", "/opt/a; curl -o x ftp://y"), ("heartfly checks list", "heartfly checks list"),
    ],
)  # fmt: skip
def test_the_own_command_of_a_job_that_tells_of_itself_is_found(command: str, own: str) -> None:
    assert own == without_run(command)


@given(st.text(max_size=300), st.sampled_from(["user", "system"]))
@example("* * * * * x\x0by\n", "system")
@example("\ud800* * * * * x\n", "user")
@example("@" * 100 + "\n", "user")
def test_any_text_is_read_and_each_line_told_once(text: str, kind: str) -> None:
    found = read(text, system=kind == "system")
    lines = [one.line for one in found.jobs] + [one.line for one in found.left]

    assert len(lines) == len(set(lines))
    assert len(lines) <= len(crontab_text.lines_of(text))
    for one in proposals(found.jobs, host="h"):
        one.as_asked()["description"].encode()


@pytest.mark.parametrize(
    "url",
    [
        "http://x/ping/u; reboot",
        "http://x/$(reboot)",
        "http://x/`id`",
        "http://x/u\nroot",
        "http://x/a b",
        "file:///x",
        "",
    ],
)
def test_an_address_that_could_mean_something_to_a_shell_goes_into_no_line(url: str) -> None:
    demand_plain(URL)

    with pytest.raises(InvalidValueError, match=r"^ping_url: "):
        demand_plain(url)
