"""How a job tells Heartfly that it ran: its line of a crontab with `heartfly run` or curl in it, a drop-in for its
service, steps for its container or workflow.

Text in, text out: what the job does stays as it is, and so does its exit status.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from enum import StrEnum

from heartfly.core.scheduled.found import Spelled
from heartfly.errors import InvalidValueError

CURL = "curl -fsS -m 10 --retry 3 -o /dev/null"
_PLAIN = re.compile(r"[\w./@:,+ -]*[\w./@:,+-]", re.ASCII)
"""What every shell takes word by word, as it stands."""
_ADDRESS = re.compile(r"https?://[\w.:\[\]~/-]+", re.ASCII)
"""Of a ping. It comes from a server, and goes into lines that shells read: nothing in it may mean anything to them."""
_OF_THE_SHELL = frozenset(
    {
        ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "declare", "eval", "exec", "exit",
        "export", "false", "fg", "for", "function", "getopts", "hash", "if", "jobs", "let", "local", "read", "readonly",
        "return", "select", "set", "shift", "shopt", "source", "time", "times", "trap", "true", "type", "typeset",
        "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
    }
)  # fmt: skip
"""Words that are no programs."""
_RUN = re.compile(
    r"(?:\S*/)?(?:heartfly\s+run|heartfly-run|python[\d.]*\s+\S*heartfly[-_]run(?:\.py)?)\s.*?\s--\s+", re.DOTALL
)
_QUOTED = re.compile(r"\S+\s+-c\s+'((?:[^']|'\\'')*)'\s*", re.DOTALL)
_CURL_AFTER = re.compile(r"\s*(?:;|&&|\|\|)\s*(?:\S*/)?(?:curl|wget)\s[^;&|]*?https?://[^;&|\s]+[^;&|]*$")


class Form(StrEnum):
    RUN = "run"
    CURL = "curl"


def crontab_line(line: Spelled, url: str, *, form: Form = Form.RUN, program: str = "heartfly run") -> str:
    """The line as it should stand. A percent that is escaped stays so: cron takes the escape away before any shell."""
    command = line.command.strip()
    space = line.command[len(line.command.rstrip()) :] if line.rest else ""
    words = command if _is_plain(command) else f"{shlex.quote(line.shell)} -c {_quoted(command)}"
    if form is Form.CURL:
        return f"{line.head}{words}; {CURL} {url}/$?{space}{line.rest}"
    return f"{line.head}{program} --check {url} -- {words}{space}{line.rest}"


def demand_plain(url: str) -> None:
    """InvalidValueError: a shell would read more out of it than an address."""
    if not _ADDRESS.fullmatch(url):
        raise InvalidValueError("ping_url", "is no plain address, so it goes into no line that a shell reads")


def without_run(command: str) -> str:
    """The job's own command, of one that tells of itself already."""
    there = _RUN.match(command)
    bare = command[there.end() :] if there else _CURL_AFTER.sub("", command)
    if bare != command and (quoted := _QUOTED.fullmatch(bare)):
        return quoted[1].replace("'\\''", "'")
    return bare


def edited(text: str, lines: Mapping[int, str]) -> str:
    """The file with other lines at these places, counted from 1. The ends of lines stay as they are."""
    parts = re.findall(r"[^\n]*\n|[^\n]+", text)
    for number, line in lines.items():
        old = parts[number - 1]
        end = "\r\n" if old.endswith("\r\n") else "\n" if old.endswith("\n") else ""
        parts[number - 1] = line + end
    return "".join(parts)


def drop_in(url: str, *, curl: str = "/usr/bin/curl") -> str:
    """Of a service, which stays as it is."""
    beat = f"{curl} {CURL.partition(' ')[2]}"
    return f"""\
[Service]
ExecStartPre=-{beat} {url}/start
# EXIT_STATUS is a number, or the name of a signal that ended it.
ExecStopPost=-/bin/sh -c 'case "$EXIT_STATUS" in *[!0-9]*|"") end=fail;; *) end=$EXIT_STATUS;; esac; \\
  {beat} {url}/$end'
"""


def container(url: str, command: str = "") -> str:
    """What goes into a container of a CronJob that has a shell and wget. One that is ended tells so: 143."""
    return f"""\
env:
  - name: BEAT
    value: {url}
command: ["/bin/sh", "-c"]
args:
  - |
    beat() {{ wget -q -T 10 -O /dev/null "$BEAT/$1" || true; }}
    trap 'kill $job; wait $job' TERM
    beat start
    {command or "/path/to/job"} & job=$!
    wait $job; rc=$?
    beat $rc
    exit $rc
"""


def step(url: str, expression: str) -> str:
    """The last step of the last job of a workflow. Other events than this schedule tell nothing."""
    return f"""\
- name: Tell Heartfly
  if: always() && github.event.schedule == '{expression}'
  run: {CURL} "{url}${{{{ job.status != 'success' && '/fail' || '' }}}}"
"""


def _is_plain(command: str) -> bool:
    first = command.partition(" ")[0]
    return _PLAIN.fullmatch(command) is not None and not first.startswith("-") and first not in _OF_THE_SHELL


def _quoted(command: str) -> str:
    escaped = command.replace("'", "'\\''")
    return f"'{escaped}'"
