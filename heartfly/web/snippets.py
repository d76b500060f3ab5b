"""How a job tells Heartfly that it ran: short programs with the check's own address in them, each tested."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snippet:
    name: str
    about: str
    code: str


def first_ping(base_url: str, ping_key: str) -> str:
    return f"curl -fsS -m 10 --retry 5 '{base_url}/ping/{ping_key}/my-job?create=1'"


def snippets(url: str) -> list[Snippet]:
    return [
        Snippet("curl", "After the job, only if it went well.", _curl(url)),
        Snippet("crontab", "A line that tells success and failure alike.", _crontab(url)),
        Snippet("bash", "Tells start, end, exit status and output; run it as ./beat.sh your-command.", _bash(url)),
        Snippet("Python", "With nothing but the standard library.", _python(url)),
    ]


def _curl(url: str) -> str:
    return f"curl -fsS -m 10 --retry 3 -o /dev/null {url}"


def _crontab(url: str) -> str:
    return f"0 3 * * * /path/to/job; curl -fsS -m 10 --retry 3 -o /dev/null {url}/$?"


def _bash(url: str) -> str:
    return f"""\
#!/usr/bin/env bash
url={url}; rid=$(cat /proc/sys/kernel/random/uuid) log=$(mktemp)
beat() {{ curl -fsS -m 10 --retry 3 -o /dev/null "$@" || true; }}
finish() {{
  rc=$?; trap - EXIT
  cat "$log"; tail -c 10000 "$log" | beat --data-binary @- "$url/$rc?rid=$rid"
  rm -f "$log"; exit $rc
}}
trap finish EXIT; trap 'kill $job 2>/dev/null; wait $job; exit 143' TERM INT HUP
beat "$url/start?rid=$rid"
"$@" >"$log" 2>&1 & job=$!
wait $job"""


def _python(url: str) -> str:
    return f"""\
import contextlib, urllib.request

def beat(what=""):
    with contextlib.suppress(OSError):
        urllib.request.urlopen("{url}" + what, timeout=10).close()

beat("/start")
try:
    ...  # the job
except BaseException:
    beat("/fail")
    raise
beat()"""
