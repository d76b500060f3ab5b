"""What a channel is there for, in the browser: routing, escalation, reminders, and its own words with a preview.

What may be set is decided in notify/policies.py, what follows from it in core/escalation.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from litestar import Response, get, post

from heartfly.checks import hearing
from heartfly.core.words import AlertKind, Severity
from heartfly.errors import ChangedMeanwhileError, InvalidValueError
from heartfly.notify import queries
from heartfly.notify.message import Message
from heartfly.notify.placeholders import NAMES
from heartfly.notify.policies import LONGEST_TEXT, LONGEST_TITLE, AskedPolicy, OwnWords
from heartfly.notify.preview import previewed
from heartfly.notify.queries import ChannelView
from heartfly.web.check_form import tags_of
from heartfly.web.request import FOR_WRITERS, Form, PageRequest, rev_of_form
from heartfly.web.sign_in import to

FIELDS = ("tags", "least", "after", "every", "title", "text")
LABELS = {
    "tags": "Tags", "least": "Severity", "after": "Wait before telling", "every": "Remind every", "title": "Title",
    "text": "Sentence",
}  # fmt: skip
EVENTS = {
    AlertKind.DOWN.value: "a check that is down", AlertKind.UP.value: "a check that is up again",
    AlertKind.DEGRADED.value: "a check that is degraded", AlertKind.LATE.value: "a check that is late",
    AlertKind.SUCCESS.value: "a run that went well", AlertKind.REMINDER.value: "a reminder",
    AlertKind.RULE_FIRING.value: "a rule that fires", AlertKind.RULE_RESOLVED.value: "a rule that is in order again",
    AlertKind.BUDGET_REACHED.value: "a budget that is reached",
    AlertKind.BUDGET_CLEARED.value: "a budget in order again",
}  # fmt: skip
"""Those that people word; the API knows the others, too."""
_OF_EVENTS = tuple(f"{event}.{name}" for event in EVENTS for name in ("title", "text"))
LABELS |= {
    f"{event}.{name}": f"{LABELS[name]} of {words}" for event, words in EVENTS.items() for name in ("title", "text")
}
_MINUTE = 60


@get("/p/{project:str}/channels/{channel:str}/policy", opt=FOR_WRITERS)
async def show(request: PageRequest) -> Response[bytes]:
    view = await _view(request)
    return await _form(request, view, _values(view))


@post("/p/{project:str}/channels/{channel:str}/policy", opt=FOR_WRITERS, status_code=200)
async def preview_or_save(request: PageRequest) -> Response[bytes]:
    """With `preview` it shows a message, and saves nothing."""
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    view, at = await _view(request), api.clock.now()
    typed = {name: form[name].replace("\r\n", "\n") for name in (*FIELDS, *_OF_EVENTS, "event")}
    try:
        asked = _asked(form, view)
        if form["preview"]:
            async with api.database.read() as read:
                found = await previewed(
                    read, pid, view.id, asked, base_url=api.base_url, now=at, event=_event(form["event"])
                )
            return await _form(request, view, typed, found=found)
        await api.database.write(
            lambda tx: hearing.edit_channel(
                tx,
                pid,
                view.uuid,
                name=None,
                config=None,
                events=None,
                check_uuids=None,
                policy=asked,
                actor=actor,
                at=at,
                ids=api.ids,
                sealer=api.sealer,
                rev=rev_of_form(form["rev"]),
            )
        )
    except InvalidValueError as error:
        field = error.field.removeprefix("policy.").removeprefix("words.").partition("[")[0]
        return await _form(request, view, typed, status=422, errors={field: error.message})
    except ChangedMeanwhileError:
        errors = {"": "somebody else changed the channel meanwhile; save again to replace what is there"}
        return await _form(request, await _view(request), typed, status=409, errors=errors)
    return to(request, f"/p/{request.project.slug}/channels/{view.uuid}")


async def _view(request: PageRequest) -> ChannelView:
    async with request.api.database.read() as read:
        return await queries.one_channel(read, request.project.pid, request.path_value("channel"), request.api.sealer)


def _values(view: ChannelView) -> dict[str, str]:
    stored = view.policy
    return {
        "tags": ", ".join(stored.get("tags", ())),
        "least": stored.get("least", ""),
        "after": _minutes(stored.get("after_s")),
        "every": _minutes(stored.get("every_s")),
        "title": stored.get("title", ""),
        "text": stored.get("text", ""),
        "event": "",
    } | {
        f"{event}.{name}": stored.get("words", {}).get(event, {}).get(name, "")
        for event in EVENTS
        for name in ("title", "text")
    }  # fmt: skip


def _event(typed: str) -> AlertKind:
    return AlertKind(typed) if typed in EVENTS else AlertKind.DOWN


def _minutes(seconds: int | None) -> str:
    return "" if seconds is None else f"{seconds / _MINUTE:g}"


def _asked(form: Form, view: ChannelView) -> AskedPolicy:
    # What the form does not show stays as the API has set it.
    stored = {event: OwnWords(**said) for event, said in view.policy.get("words", {}).items() if event not in EVENTS}
    return AskedPolicy(
        tags=tags_of(form["tags"], apart=","),
        least=form["least"] or None,
        after_s=_seconds(form["after"], "after"),
        every_s=_seconds(form["every"], "every"),
        title=form["title"],
        text=form["text"],
        words=stored | {event: OwnWords(form[f"{event}.title"], form[f"{event}.text"]) for event in EVENTS},
    )


def _seconds(text: str, field: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise InvalidValueError(field, "must be a whole number of minutes")
    return int(text) * _MINUTE


async def _form(
    request: PageRequest,
    view: ChannelView,
    typed: Mapping[str, str],
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    found: Message | None = None,
) -> Response[bytes]:
    return await request.page(
        "channel_policy.html",
        status=status,
        channel=view,
        typed=typed,
        errors=errors or {},
        labels=LABELS,
        severities=[one.value for one in Severity],
        names=NAMES,
        events=EVENTS,
        longest={"title": LONGEST_TITLE, "text": LONGEST_TEXT},
        found=found,
    )
