"""GitHub: an issue for each check that is not well, commented while it goes on, and closed when it is up again.

Which issue is a check's is told by the end of its title, among the open ones with our label.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec
from typing_extensions import override

from heartfly.core.alerts import Alert
from heartfly.errors import DeliveryError
from heartfly.net.http import Reply, RequestFailed
from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, server
from heartfly.notify.message import Delivery, Message, word
from heartfly.notify.plain import n_unnamed
from heartfly.notify.tickets import ends_its_ticket, ticket_of

# docs.github.com, "Issues": title 256, body 65,536 characters; some 80 writes a minute.
TITLE_LIMIT = 200
TEXT_LIMIT = 2_000
TAIL_LIMIT = 8_000
MAX_FACTS = 20
MAX_LINES = 100
LABEL = "heartfly"
MOST_OPEN = 100
"""Issues that are looked through for a check's own, the newest first."""

_ESCAPES = {char: f"\\{char}" for char in "\\*_~`|[]<>#@!"}
_QUERY = """\
query($owner: String!, $name: String!, $label: String!, $most: Int!) {
  repository(owner: $owner, name: $name) {
    issues(first: $most, states: OPEN, labels: [$label], orderBy: {field: CREATED_AT, direction: DESC}) {
      nodes { number title }
    }
  }
}"""


class GitHubChannel(ToldBySettings):
    kind: ClassVar[str] = "github"
    title: ClassVar[str] = "GitHub issue"
    folds_storms: ClassVar[bool] = False
    # One after another: who looks for an issue must see the one before.
    concurrency: ClassVar[int] = 1
    min_interval_s: ClassVar[float] = 1.0
    has_digest: ClassVar[bool] = False
    settings = (
        Setting(
            name="repository",
            label="Repository",
            example="example/ops",
            like=re.compile(r"[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}", re.ASCII),
            must="must be owner/name",
        ),
        Setting(
            name="token",
            label="Token",
            example="github_pat_…",
            hint="That may read and write the issues of the repository.",
            is_secret=True,
        ),
        server("https://api.github.com"),
    )

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        asked = _Asked(config, context, self.base(config))
        alert, message = delivery.alerts[-1], word(delivery)
        number = await asked.open_issue(_mark(alert))
        text = body(message)
        if number is None:
            if ends_its_ticket(alert):
                return Receipt(code=None, reply="there is no open issue of it")
            title = f"{fit.fitted(message.title, TITLE_LIMIT, escapes={})} {_mark(alert)}"
            return await asked.write("POST", "/issues", {"title": title, "body": text, "labels": [LABEL]})
        told = await asked.write("POST", f"/issues/{number}/comments", {"body": text})
        if not ends_its_ticket(alert):
            return told
        return await asked.write("PATCH", f"/issues/{number}", {"state": "closed", "state_reason": "completed"})


class _Asked:
    """One repository, as one token sees it."""

    def __init__(self, config: Mapping[str, Any], context: ChannelContext, base: str) -> None:
        self._context = context
        self._base = base
        self._repository = config["repository"]
        self._headers = {
            "Authorization": f"Bearer {config['token']}",
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    async def open_issue(self, mark: str) -> int | None:
        """Its number. DeliveryError."""
        owner, _, name = self._repository.partition("/")
        asked = {"owner": owner, "name": name, "label": LABEL, "most": MOST_OPEN}
        body = msgspec.json.encode({"query": _QUERY, "variables": asked})
        try:
            reply = await self._context.http.request("POST", _graphql(self._base), headers=self._headers, body=body)
        except RequestFailed as error:
            # It was only a question: nothing was written.
            raise DeliveryError(str(error), permanent=error.permanent) from error
        issues = _issues(reply)
        if issues is None:
            raise _refused(reply)
        return next((one.number for one in issues if one.title.endswith(mark)), None)

    async def write(self, method: str, path: str, told: Mapping[str, object]) -> Receipt:
        url = f"{self._base}/repos/{self._repository}{path}"
        body = msgspec.json.encode(told)
        return await exchange(self._context, method, url, headers=self._headers, body=body, busy=_busy)


class _Issue(msgspec.Struct):
    number: int
    title: str


class _Issues(msgspec.Struct):
    nodes: list[_Issue]


class _Repository(msgspec.Struct):
    issues: _Issues


class _Data(msgspec.Struct):
    repository: _Repository | None = None


class _Answer(msgspec.Struct):
    data: _Data | None = None
    errors: list[dict[str, Any]] = []


def _issues(reply: Reply) -> Sequence[_Issue] | None:
    if reply.status != 200:
        return None
    try:
        answer = msgspec.json.decode(reply.body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if answer.data is None or answer.data.repository is None:
        return None
    return answer.data.repository.issues.nodes


def _refused(reply: Reply) -> DeliveryError:
    """A question that was answered by an error: of a repository that is not there, or that the token may not see."""
    wanted = _busy(reply)
    if reply.status == 200:
        words = "GitHub finds no such repository, or the token may not see its issues"
        return DeliveryError(words, permanent=True, code=reply.status)
    return DeliveryError(
        f"GitHub answered {reply.status}",
        permanent=wanted is None and 300 <= reply.status < 500 and reply.status != 429,
        code=reply.status,
        retry_after=wanted,
    )


def _graphql(base: str) -> str:
    """`https://host/api/v3` of a server of one's own has it beside."""
    parts = urlsplit(base)
    path = parts.path.removesuffix("/v3").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}/graphql"


def _mark(alert: Alert) -> str:
    return f"[{hashlib.sha256(ticket_of(alert).encode()).hexdigest()[:8]}]"


def body(message: Message) -> str:
    parts = [_fitted(part, TEXT_LIMIT) for part in (message.sentence, *message.why, message.note) if part]
    lines = [
        f"- **{line.label}** {_fitted(line.name, 100)} {_fitted(line.text, 200)}" for line in message.lines[:MAX_LINES]
    ]
    if n_more := n_unnamed(message, MAX_LINES):
        lines.append(f"- +{n_more} more")
    parts += ["\n".join(lines)] if lines else []
    if message.facts:
        rows = [f"| {_fitted(label, 60)} | {_fitted(value, 200)} |" for label, value in message.facts[:MAX_FACTS]]
        parts.append("\n".join(["| | |", "|---|---|", *rows]))
    if message.tail:
        end = fit.fitted(message.tail.replace("```", "`\u200b`\u200b`"), TAIL_LIMIT, escapes={}, from_end=True)
        parts.append(f"{_fitted(message.tail_title, 60)}:\n\n```text\n{end}\n```")
    parts.append(f"[{message.link_text}]({message.link})")
    return "\n\n".join(parts)


def _fitted(text: str, limit: int) -> str:
    return fit.fitted(" ".join(text.split()), limit, escapes=_ESCAPES)


def _busy(reply: Reply) -> float | None:
    """Its limits answer 403 or 429, and say so beside: by `retry-after`, or because nothing remains."""
    if reply.status not in {403, 429}:
        return None
    told = reply.headers.get("retry-after", "")
    if told.isascii() and told.isdigit():
        return float(told[:6])
    return 60.0 if reply.headers.get("x-ratelimit-remaining") == "0" or reply.status == 429 else None
