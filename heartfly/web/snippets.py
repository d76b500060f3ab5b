"""How a job tells Heartfly that it ran: short programs with the check's own address in them.

All end within seconds if nobody answers, try again, and leave the job's own exit status as it is. Those for which this
machine has the interpreter are run by the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

from heartfly.core.scheduled.tell import CURL, container, drop_in


@dataclass(frozen=True, slots=True)
class Snippet:
    name: str
    about: str
    code: str


def first_ping(base_url: str, ping_key: str) -> str:
    return f"curl -fsS -m 10 --retry 5 '{base_url}/ping/{ping_key}/my-job?create=1'"


def snippets(url: str) -> list[Snippet]:
    """The few that fit beside a check."""
    return [one for one in all_snippets(url) if one.name in {"curl", "crontab", "bash", "Python"}]


def all_snippets(url: str) -> list[Snippet]:
    return [
        Snippet("curl", "After the job, only if it went well.", _curl(url)),
        Snippet("crontab", "A line that tells success and failure alike.", _crontab(url)),
        Snippet("bash", "Tells start, end, exit status and output; run it as ./beat.sh your-command.", _bash(url)),
        Snippet("systemd", "A drop-in for the job’s service, which stays as it is.", _systemd(url)),
        Snippet("Python", "The standard library alone: start, end, what was raised, and SIGTERM.", _python(url)),
        Snippet("Node", "Node 18 or newer, which has fetch.", _node(url)),
        Snippet("Go", "With nothing but the standard library.", _go(url)),
        Snippet("PowerShell", "For Windows’ task scheduler.", _powershell(url)),
        Snippet("Kubernetes", "A CronJob whose container has a shell and wget.", _kubernetes(url)),
    ]


def _curl(url: str) -> str:
    return f"{CURL} {url}"


def _crontab(url: str) -> str:
    return f"0 3 * * * /path/to/job; {CURL} {url}/$?"


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


def _systemd(url: str) -> str:
    return f"# systemctl edit my-job.service\n{drop_in(url)}".rstrip()


def _python(url: str) -> str:
    return f"""\
import contextlib, signal, sys, time, traceback, urllib.request, uuid

URL = "{url}"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

def beat(what="", said=b""):
    for again in range(3):
        try:
            return urllib.request.urlopen(URL + what, data=said[-10_000:] or None, timeout=10).close()
        except OSError:
            time.sleep(again)

@contextlib.contextmanager
def watched():
    rid = f"?rid={{uuid.uuid4()}}"
    beat("/start" + rid)
    try:
        yield
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        beat(f"/{{code & 255}}{{rid}}", str(end.code or "").encode())
        raise
    except BaseException:
        beat("/fail" + rid, traceback.format_exc().encode())
        raise
    beat(rid)

with watched():
    ...  # the job; `@watched()` before a function does the same"""


def _node(url: str) -> str:
    return f"""\
import {{ randomUUID }} from "node:crypto";

const url = "{url}", rid = randomUUID();

async function beat(what, said) {{
  const options = {{ method: "POST", body: said?.slice(-10000), signal: AbortSignal.timeout(10_000) }};
  for (let again = 0; again < 3; again++) {{
    try {{ if ((await fetch(`${{url}}${{what}}?rid=${{rid}}`, options)).ok) return; }} catch {{}}
  }}
}}

export async function watched(job) {{
  process.once("SIGTERM", () => beat("/143").finally(() => process.exit(143)));
  await beat("/start");
  try {{
    const result = await job();
    await beat(process.exitCode ? `/${{process.exitCode}}` : "");
    return result;
  }} catch (error) {{
    await beat("/fail", String(error?.stack ?? error));
    throw error;
  }}
}}"""


def _go(url: str) -> str:
    return f"""\
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const url = "{url}"

func beat(what, rid, said string) {{
	client := http.Client{{Timeout: 10 * time.Second}}
	for again := 0; again < 3; again++ {{
		reply, err := client.Post(url+what+"?rid="+rid, "text/plain", strings.NewReader(said))
		if err == nil {{
			reply.Body.Close()
			return
		}}
		time.Sleep(time.Duration(again) * time.Second)
	}}
}}

func main() {{
	id := make([]byte, 16)
	rand.Read(id)
	rid := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	done, stop := make(chan error, 1), make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	beat("/start", rid, "")
	go func() {{ done <- job() }}()
	select {{
	case <-stop:
		beat("/143", rid, "")
		os.Exit(143)
	case err := <-done:
		var ended *exec.ExitError
		if errors.As(err, &ended) && ended.ExitCode() > 0 {{
			beat(fmt.Sprintf("/%d", ended.ExitCode()), rid, err.Error())
			os.Exit(ended.ExitCode())
		}} else if err != nil {{
			beat("/fail", rid, err.Error())
			os.Exit(1)
		}}
		beat("", rid, "")
	}}
}}

func job() error {{ return nil }}"""


def _powershell(url: str) -> str:
    return f"""\
$url = "{url}"; $rid = [guid]::NewGuid()

function Beat($what, $said) {{
    foreach ($again in 1..3) {{
        try {{
            Invoke-RestMethod -Uri "$url$what`?rid=$rid" -Method Post -Body $said -TimeoutSec 10 | Out-Null
            return
        }} catch {{ Start-Sleep -Seconds $again }}
    }}
}}

Beat "/start" ""
$code = 127
try {{
    $said = & C:\\path\\to\\job.exe 2>&1 | Out-String
    $code = $LASTEXITCODE
}} catch {{ $said = "$_" }}
Beat "/$code" $said.Substring([Math]::Max(0, $said.Length - 10000))
exit $code"""


def _kubernetes(url: str) -> str:
    return f"""\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: my-job
spec:
  schedule: "0 3 * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: my-job
              image: my-image
{indent(container(url), " " * 14).rstrip()}"""
