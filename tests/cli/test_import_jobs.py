"""`heartfly import crontab|systemd|k8s|github-actions` and `heartfly drift`, against a real server."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from heartfly.cli.job_edits import replace_own_crontab, replace_text
from heartfly.cli.jobs_here import own_crontab
from tests.cli.conftest import Run, ok
from tests.core.test_crontab_text import DEBIAN, NOW
from tests.core.test_manifests import ONE, WORKFLOW

TIMER = "[Timer]\nOnCalendar=*-*-* 6,18:00\nRandomizedDelaySec=12h\nPersistent=true\n"
Machine = Callable[[str], Path]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A file system with Debian's crontab, a job in cron.d, a user's, and two timers, under a name of its own."""

    def made(name: str) -> Path:
        root = tmp_path / name
        units, wants = root / "usr/lib/systemd/system", root / "etc/systemd/system/timers.target.wants"
        for folder in (root / "etc/cron.d", root / "var/spool/cron/crontabs", units, wants):
            folder.mkdir(parents=True)
        (root / "etc/hostname").write_text(f"{name}.example.org\n")
        (root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
        (root / "etc/crontab").write_text(DEBIAN)
        (root / "etc/cron.d/backup").write_text("0 2 * * * root /opt/backup --all\n@reboot root /opt/warm-up\n")
        (root / "etc/cron.d/old.dpkg-dist").write_text("0 2 * * * root /opt/old\n")
        (root / "etc/cron.d/.placeholder").write_text("")
        (root / "var/spool/cron/crontabs/ada").write_text("*/5 * * * * ~/bin/sync 'a b' \\% # note\n")
        for timer in ("apt-daily", "fstrim", "masked"):
            (units / f"{timer}.timer").write_text(TIMER)
        (units / "apt-daily.service").write_text("[Service]\nExecStart=/usr/lib/apt/apt.systemd.daily update\n")
        (wants / "apt-daily.timer").symlink_to("/usr/lib/systemd/system/apt-daily.timer")
        (root / "etc/systemd/system/masked.timer").symlink_to(os.devnull)
        return root

    return made


def told(run: Run, *arguments: str, status: int = 0) -> Any:
    result = run(*arguments, "--json")
    assert status == result.exit_code, result.output
    return json.loads(result.stdout)


def outcomes(found: Any) -> dict[str, str]:
    return {(one["proposal"] if "proposal" in one else one["check"])["slug"]: one["outcome"] for one in found["jobs"]}


def test_a_machines_crontabs_become_checks_once(run: Run, machine: Machine) -> None:
    root = str(machine("first"))
    before = told(run, "import", "crontab", "--root", root)
    made = told(run, "import", "crontab", "--root", root, "--apply")
    again = told(run, "import", "crontab", "--root", root, "--apply")

    assert {"no_check"} == set(outcomes(before).values())
    assert [
        f"first-{name}" for name in ("cron-hourly", "cron-daily", "cron-weekly", "e2scrub_all_cron", "backup", "sync")
    ] == list(outcomes(made))
    assert ["made"] * 6 == [one["done"] for one in made["jobs"]]
    assert ({"same"}, {None}) == (set(outcomes(again).values()), {one["done"] for one in again["jobs"]})
    assert [("/etc/cron.d/backup", 2), ("/etc/cron.d/old.dpkg-dist", 0)] == [
        (one["where"], one["line"]) for one in made["left"]
    ]
    check = told(run, "checks", "show", "first-backup")
    assert ("backup on first", "0 2 * * *", "Europe/Berlin", "cron", 3600, ["crontab", "on:first"]) == (
        check["name"], check["schedule"]["expression"], check["schedule"]["zone"], check["schedule"]["dialect"],
        check["grace"], check["tags"],
    )  # fmt: skip
    assert check["first_ping_by"] is None
    assert made["jobs"][4]["tell"].endswith(f"--check {check['ping_url']} -- /opt/backup --all")
    words = ok(run("import", "crontab", "--root", root))
    assert "6 jobs, no drift." in words
    assert "Nothing was changed" in words


def test_lines_are_edited_with_a_backup_and_their_mode_and_only_once(run: Run, machine: Machine) -> None:
    root = machine("second")
    path, ada = root / "etc/cron.d/backup", root / "var/spool/cron/crontabs/ada"
    ada.chmod(0o600)
    before = path.read_text()
    options = ("import", "crontab", "--root", str(root), "--program", "/opt/heartfly run", "--apply", "--edit")
    edited = told(run, *options)

    check = told(run, "checks", "show", "second-backup")
    line = f"0 2 * * * root /opt/heartfly run --check {check['ping_url']} -- /opt/backup --all"
    assert f"{line}\n@reboot root /opt/warm-up\n" == path.read_text()
    assert check["first_ping_by"] is not None  # a job that was edited, and never begins, is found
    backups = {one["file"]: Path(one["backup"]) for one in edited["edited"]}
    assert before == backups["/etc/cron.d/backup"].read_text()
    assert backups["/etc/cron.d/backup"].parent == path.parent
    assert backups["/etc/cron.d/backup"].name.startswith(".")  # no cron reads it
    assert (
        0o600
        == stat.S_IMODE(ada.stat().st_mode)
        == stat.S_IMODE(backups["/var/spool/cron/crontabs/ada"].stat().st_mode)
    )
    assert " -- /bin/sh -c '~/bin/sync '\\''a b'\\'' \\% # note'\n" in ada.read_text()
    assert {True} == {one["pings"] for one in told(run, "import", "crontab", "--root", str(root))["jobs"]}
    assert [] == told(run, *options)["edited"]
    assert [] == [one for one in path.parent.iterdir() if one.name.startswith(".heartfly-")]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the program `crontab` keeps, and where backups of it go."""
    kept, folder = tmp_path / "kept", tmp_path / "bin"
    folder.mkdir()
    program = folder / "crontab"
    program.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -l ]; then cat {kept} 2>/dev/null || exit 1; exit 0; fi\n'
        f"cat >{kept}.new; grep -q nonsense {kept}.new && {{ echo 'bad minute' >&2; exit 1; }}; mv {kept}.new {kept}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return kept


def test_the_own_crontab_is_read_and_installed_by_crontab(own: Path) -> None:
    assert [] == own_crontab(zone="UTC", now=NOW).found.jobs  # who has none has no jobs
    own.write_bytes(b"0 1 * * * /opt/caf\xe9\n")
    here = own_crontab(zone="UTC", now=NOW)
    assert [("crontab -l", 1)] == [(one.where, one.line) for one in here.found.jobs]
    old = here.texts["crontab -l"]
    backup = replace_own_crontab(old=old, new=old + "# more\n", now=NOW)
    assert b"0 1 * * * /opt/caf\xe9\n# more\n" == own.read_bytes()
    assert (b"0 1 * * * /opt/caf\xe9\n", 0o600) == (backup.read_bytes(), stat.S_IMODE(backup.stat().st_mode))

    with pytest.raises(click.ClickException, match="changed meanwhile"):
        replace_own_crontab(old=old, new="", now=NOW)
    with pytest.raises(click.ClickException, match="bad minute"):
        replace_own_crontab(old=old + "# more\n", new="nonsense\n", now=NOW)
    assert own.read_bytes().endswith(b"# more\n")


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tab"
    path.write_text("new\n")
    with pytest.raises(click.ClickException, match="changed meanwhile"):
        replace_text(path, old="old\n", new="x\n", now=NOW)
    assert (["tab"], "new\n") == ([one.name for one in tmp_path.iterdir()], path.read_text())


def test_a_link_stays_a_link_to_the_file_that_is_edited(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old\n")
    (tmp_path / "link").symlink_to("real")
    replace_text(tmp_path / "link", old="old\n", new="new\n", now=NOW)
    assert (True, "new\n") == ((tmp_path / "link").is_symlink(), (tmp_path / "real").read_text())


def test_drift_is_told_with_its_exit_status(run: Run, machine: Machine) -> None:
    root = machine("third")
    where = ("--root", str(root))
    assert 3 == run("drift", *where).exit_code
    ok(run("import", "crontab", *where, "--apply"))
    ok(run("import", "systemd", *where, "--apply"))
    assert "no drift." in ok(run("drift", *where))

    (root / "etc/cron.d/backup").unlink()
    (root / "etc/cron.d/new").write_text("0 7 * * * root /opt/new\n")
    tab = root / "etc/crontab"
    tab.write_text(tab.read_text().replace("25 6", "25 7"))
    (root / "etc/systemd/system/timers.target.wants/apt-daily.timer").unlink()
    drift = told(run, "drift", *where, status=3)
    found = {slug: outcome for slug, outcome in outcomes(drift).items() if outcome != "same"}
    assert {"third-backup": "no_job", "third-new": "no_check", "third-cron-daily": "schedule_differs"} == found
    words = run("drift", *where)
    assert "third-cron-daily: the job runs 25 7 * * * Europe/Berlin" in words.output
    assert "1 without a check, 1 gone while its check waits, 1 with another schedule" in words.output
    assert {"third-new"} == set(outcomes(told(run, "drift", *where, "--only", "*-new", status=3)))
    assert "third-new" not in outcomes(told(run, "drift", *where, "--skip", "*-new", status=3))

    assert 3 == run("import", "crontab", *where, "--drift").exit_code
    ok(run("import", "crontab", *where, "--apply", "--update"))
    assert "25 7 * * *" == told(run, "checks", "show", "third-cron-daily")["schedule"]["expression"]
    ok(run("checks", "delete", "third-backup", "--yes"))
    assert "no drift." in ok(run("drift", *where))


def test_a_machines_timers_become_checks_with_a_drop_in(run: Run, machine: Machine) -> None:
    root = machine("fourth")
    found = told(run, "import", "systemd", "--root", str(root), "--apply", "--edit")

    assert {"fourth-apt-daily-timer": "no_check", "fourth-fstrim-timer": "same"} == outcomes(found)
    assert ["", "it is not enabled"] == [one["off"] for one in found["jobs"]]
    check = told(run, "checks", "show", "fourth-apt-daily-timer")
    assert ("oncalendar", "*-*-* 6,18:00", "Europe/Berlin", 13 * 3600 + 60) == (
        check["schedule"]["kind"], check["schedule"]["expression"], check["schedule"]["zone"], check["grace"],
    )  # fmt: skip
    drop_in = root / "etc/systemd/system/apt-daily.service.d/heartfly.conf"
    assert f"{check['ping_url']}/start" in drop_in.read_text()
    assert 0o644 == stat.S_IMODE(drop_in.stat().st_mode)
    again = told(run, "import", "systemd", "--root", str(root), "--apply", "--edit")
    assert ([True, False], []) == ([one["pings"] for one in again["jobs"]], again["edited"])


def test_manifests_and_workflows_become_checks(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cron.yaml").write_text(ONE)
    (tmp_path / "nightly.yml").write_text(WORKFLOW)
    k8s = told(run, "import", "k8s", str(tmp_path / "cron.yaml"), "--host", "prod", "--apply")
    github = told(run, "import", "github-actions", str(tmp_path / "nightly.yml"), "--host", "acme/site", "--apply")

    assert ["prod-billing-nightly"] == list(outcomes(k8s))
    check = told(run, "checks", "show", "prod-billing-nightly")
    assert ("kubernetes", 900, ["k8s", "on:prod"]) == (check["schedule"]["dialect"], check["max_run"], check["tags"])
    assert 2 == len(outcomes(github))
    assert "acme-site-nightly" in outcomes(github)
    assert "if: always() && github.event.schedule == '30 5 * * 1-5'" in github["jobs"][0]["tell"]
    assert 0 == run("drift", "--k8s", str(tmp_path / "cron.yaml"), "--host", "prod").exit_code
    (tmp_path / "cron.yaml").write_text("kind: Service\n")
    gone = told(run, "drift", "--k8s", str(tmp_path / "cron.yaml"), "--host", "prod", status=3)
    assert {"prod-billing-nightly": "no_job"} == outcomes(gone)


def test_what_is_no_text_or_would_steer_a_terminal_is_shown_as_such(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    path.write_bytes(b'0 1 * * * /opt/caf\xe9 "\x1b[31m"\n61 1 * * * \xff\n')
    found = told(run, "import", "crontab", str(path), "--host", "odd", "--apply", "--edit", "--of-user")
    assert ("made", "odd-caf") == (found["jobs"][0]["done"], found["jobs"][0]["check"]["slug"])
    assert b" -c '/opt/caf\xe9 \"\x1b[31m\"'\n61 1 * * * \xff\n" in path.read_bytes()
    assert "\x1b" not in ok(run("import", "crontab", str(path), "--host", "odd-2", "--of-user"))


def test_standard_input_and_single_files_are_read(run: Run, tmp_path: Path) -> None:
    result = run("import", "crontab", "-", "--host", "", "--zone", "Asia/Tokyo", "--json", input="@daily /opt/solo\n")
    (job,) = json.loads(ok(result))["jobs"]
    assert ("solo", "Asia/Tokyo", ["crontab"]) == (
        job["proposal"]["slug"], job["proposal"]["schedule"]["zone"], job["proposal"]["tags"],
    )  # fmt: skip
    (tmp_path / "x.timer").write_text("[Timer]\nOnUnitActiveSec=1h\n")
    (timer,) = told(run, "import", "systemd", str(tmp_path / "x.timer"))["jobs"]
    assert 3600 == timer["proposal"]["schedule"]["period"]
    assert "There are no jobs here." in ok(run("import", "crontab", "-", input="# nothing\n"))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("import", "crontab", "--edit"), 2, "--edit goes with --apply"),
        (("import", "crontab", "-", "--apply", "--edit"), 2, "standard input is none"),
        (("import", "systemd", "none.timer"), 1, "there is no such file"),
        (("import", "crontab", "none", "--of-user"), 0, "none: there is no such file"),
        (("import", "k8s"), 2, "Missing argument"),
        (("import", "github-actions"), 2, "no .github/workflows here"),
        (("import", "crontab", "-", "--channel", "none", "--apply"), 1, "There is no channel none"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], status: int, said: str) -> None:
    result = run(*arguments, input="")
    assert status == result.exit_code
    assert said in result.output


def test_a_check_that_is_refused_does_not_keep_the_others_from_being_made(run: Run) -> None:
    ok(run("checks", "create", "taken on host5", "--slug", "x"))
    given = "0 1 * * * /opt/one\n0 2 * * * /opt/two\n"
    result = run("import", "crontab", "-", "--host", "host5", "--tag", "a" * 51, "--apply", input=given)
    assert 1 == result.exit_code
    assert 2 == result.output.count("refused: tags")
