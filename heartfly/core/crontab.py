"""A line of a crontab, as people paste it: when, and what. What the five fields mean is cron.py's.

Pure: text in, text out. The name is a guess that people may change; it is never empty.
"""

from __future__ import annotations

import re

from heartfly.core.cron import TWINS
from heartfly.errors import InvalidValueError

_FIELDS = 5
_LONGEST_NAME = 60
_SET = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\s*=.*")
_BEFORE = frozenset(
    {
        "env", "exec", "flock", "ionice", "nice", "nohup", "sudo", "timeout", "bash", "dash", "sh", "python3", "python",
        "perl", "php", "ruby", "node", "chronic", "time",
    }
)  # fmt: skip
"""Words that may stand before the one that says what is done."""
_GOES_THERE = re.compile(
    r"\s*(?:[{(]\s|cd\s+\S+\s*(?:&&|;)|(?:test|\[|command\s+-v|which)\s[^|&;]*(?:\|\||&&|;))", re.ASCII
)
"""What goes somewhere, or asks whether there is anything to do."""
_RUN_PARTS = re.compile(r"(?:\S*/)?run-parts\s(?:\s*-\S+)*\s*/?(?:[^\s/]+/)*([^\s/;})]+)")


def parted(line: str) -> tuple[str, str]:
    """The expression and the command. InvalidValueError for what is no such line, such as a setting or a comment."""
    text = line.strip()
    if text.startswith("#") or _SET.fullmatch(text):
        raise InvalidValueError("line", "must begin with the times; this is a comment or a setting")
    n = 1 if text.startswith("@") else _FIELDS
    words = text.split(None, n)
    if n == 1 and words[0].lower() not in TWINS:
        raise InvalidValueError("line", f"{words[0][:32]!r} names no times on the clock")
    if len(words) <= n:
        raise InvalidValueError("line", "must have the times and then the command, as in a crontab")
    return " ".join(words[:n]), words[n]


def name_of(command: str) -> str:
    """What the command is called: the file name of its program without its ending."""
    while there := _GOES_THERE.match(command):
        command = command[there.end() :]
    if parts := _RUN_PARTS.match(command.strip()):
        return parts[1][:_LONGEST_NAME]
    words = [word.strip("'\"();{}") for word in command.split()]
    says = [word for word in words if re.match(r"[\w./~]", word) and not _stands_before(word)]
    stems = (word.rstrip("/").rpartition("/")[2].partition(".")[0] for word in says if not word.isdigit())
    return next((stem for stem in stems if stem), "job")[:_LONGEST_NAME]


def _stands_before(word: str) -> bool:
    return word.rpartition("/")[2] in _BEFORE or _SET.fullmatch(word) is not None
