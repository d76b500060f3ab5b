"""All pages as one ASGI application: its routes, and what holds for every one of them.

Headers that keep a browser from running, framing, storing or telling anything; bodies up to 64 KiB; errors that look
like the house; one log line a request, and an id that leads to it. What a page shows stands in the file that its
handler is in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, cast

from litestar import Litestar
from litestar.exceptions import HTTPException
from structlog.contextvars import bound_contextvars

from heartfly.errors import HeartflyError
from heartfly.logs import line
from heartfly.web import (
    account,
    audit,
    badges,
    budget_form,
    bulk,
    calls_files,
    channels,
    check,
    checks,
    docs,
    edit_channel,
    edit_check,
    edit_rule,
    events,
    general,
    go,
    incidents,
    invite,
    keyboard,
    keys,
    live,
    meter_form,
    new_check,
    passkeys,
    ping_page,
    profile,
    reference,
    refresh,
    report_stop,
    reset,
    schedule,
    second_step,
    setup,
    shares,
    sign_in,
    status,
    status_pages,
    system,
    team,
    traffic_files,
    usage_alerts,
    usage_apis,
    usage_backfill,
    usage_backfills,
    usage_budgets,
    usage_costs,
    usage_customers,
    usage_days,
    usage_dead,
    usage_endpoints,
    usage_event,
    usage_events,
    usage_limits,
    usage_meters,
    usage_paths,
    usage_price,
    usage_prices,
    usage_report,
    usage_requests,
    usage_sources,
    usage_traffic,
    usage_watches,
    views,
)
from heartfly.web.error_pages import new_request_id, wrong
from heartfly.web.request import REQUEST_ID, STATE, PageRequest, guard
from heartfly.web.state import WebState

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 64 * 1024
SEE_OTHER = 303
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"cache-control": b"no-store",
    # Not `no-referrer`: browsers then hide from us, too, where a form comes from.
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
_HSTS = (b"strict-transport-security", b"max-age=31536000")

HANDLERS = (
    sign_in.home,
    sign_in.static_file,
    sign_in.show,
    sign_in.sign_in,
    sign_in.sign_out,
    setup.show,
    setup.finish,
    account.security,
    account.revoke_session,
    account.revoke_others,
    account.export,
    account.delete,
    keyboard.show,
    keyboard.choose,
    second_step.begin_anew,
    second_step.prove,
    second_step.show,
    second_step.switch_on,
    second_step.renew_codes,
    second_step.switch_off,
    passkeys.ask,
    passkeys.sign_in,
    passkeys.show,
    passkeys.ask_for_new,
    passkeys.add,
    passkeys.rename,
    passkeys.remove,
    reset.show,
    reset.ask,
    reset.show_new,
    reset.choose,
    live.stream,
    go.show,
    checks.of_project,
    checks.list_checks,
    bulk.change_many,
    views.save,
    views.forget,
    new_check.show,
    new_check.create,
    check.show,
    check.show_snippets,
    check.pause_check,
    check.resume_check,
    check.ask_to_delete,
    check.delete_check,
    edit_check.show,
    edit_check.save,
    schedule.show,
    schedule.try_or_save,
    events.show,
    events.as_csv,
    events.as_ndjson,
    events.show_runs,
    ping_page.show,
    ping_page.body,
    incidents.list_incidents,
    incidents.show,
    incidents.acknowledge,
    incidents.comment,
    shares.share,
    shares.unshare,
    shares.show,
    channels.list_channels,
    channels.show_new,
    channels.create,
    channels.show,
    channels.send_test,
    channels.send_again,
    channels.ask_to_delete,
    channels.delete_channel,
    edit_channel.show,
    edit_channel.save,
    edit_channel.rotate_secret,
    general.show,
    general.edit,
    general.rotate_ping_key,
    general.export,
    general.delete,
    keys.show,
    keys.create,
    keys.rotate,
    keys.revoke,
    audit.show,
    audit.as_csv,
    audit.as_ndjson,
    usage_traffic.dashboard,
    traffic_files.as_csv,
    usage_endpoints.show_endpoints,
    usage_endpoints.show_endpoint,
    usage_requests.show_requests,
    usage_events.show,
    usage_event.show,
    usage_event.correct,
    usage_dead.show_letters,
    usage_dead.change_many,
    usage_dead.show_letter,
    usage_dead.change_letter,
    usage_customers.show_customers,
    usage_customers.add,
    usage_customers.show,
    usage_customers.edit,
    usage_customers.export,
    usage_customers.erase,
    report_stop.ask,
    report_stop.end,
    usage_report.show,
    usage_report.file,
    usage_report.share,
    usage_report.unshare,
    usage_report.mail,
    usage_report.end_mail,
    usage_report.show_shared,
    usage_report.shared_file,
    usage_days.show_calendar,
    usage_days.show,
    usage_days.rerun,
    usage_apis.show_calls,
    usage_costs.show_costs,
    calls_files.as_csv,
    usage_alerts.show_rules,
    usage_alerts.make_defaults,
    edit_rule.show_new_rule,
    edit_rule.create_rule,
    usage_alerts.show_rule,
    usage_alerts.change_rule,
    edit_rule.show_edit_rule,
    edit_rule.edit_rule,
    usage_sources.show_sources,
    usage_sources.retire_source,
    usage_watches.show_watches,
    usage_watches.show_new,
    usage_watches.create,
    usage_watches.show_watch,
    usage_watches.edit,
    usage_watches.delete,
    usage_paths.show_rules,
    usage_paths.preview_or_save,
    usage_prices.show_prices,
    usage_prices.show_new,
    usage_prices.preview_or_add,
    usage_price.show,
    usage_price.change,
    usage_limits.show_limits,
    usage_limits.try_or_save,
    usage_limits.show,
    usage_limits.edit,
    usage_backfills.show_sets,
    usage_backfills.show_new,
    usage_backfills.open_one,
    usage_backfill.show,
    usage_backfill.end,
    usage_backfill.put_in,
    usage_backfill.show_preview,
    usage_meters.list_meters,
    meter_form.show_new,
    meter_form.create,
    usage_meters.show,
    usage_meters.archive,
    meter_form.show_version,
    meter_form.change,
    usage_budgets.list_page,
    budget_form.show_new,
    budget_form.create,
    usage_budgets.show,
    budget_form.show_edit,
    budget_form.save,
    usage_budgets.turn,
    usage_budgets.delete,
    badges.show,
    badges.build,
    badges.change_key,
    status.show,
    status.feed,
    status.look,
    status_pages.list_pages,
    status_pages.show_new,
    status_pages.create,
    status_pages.show,
    status_pages.save,
    status_pages.delete,
    status_pages.change_logo,
    team.show,
    team.invite,
    team.resend,
    team.revoke,
    team.change_role,
    team.remove,
    team.leave,
    team.hand_over,
    invite.show,
    invite.join,
    system.show,
    profile.show,
    profile.edit,
    profile.change_password,
    profile.change_email,
    profile.show_confirmation,
    profile.confirm_email,
    docs.contents,
    docs.show_decision,
    docs.image,
    reference.tags,
    reference.show,
    docs.show,
)


def pages(state: WebState) -> Pages:
    return Pages(_framework(), state)


@cache
def _framework() -> Litestar:
    """The routes, alike for all who serve them: what they work on comes with each request (see request.py)."""
    return Litestar(
        route_handlers=list(HANDLERS),
        guards=[guard],
        request_class=PageRequest,
        request_max_body_size=MAX_BODY,
        exception_handlers={HeartflyError: wrong, HTTPException: wrong, Exception: wrong},
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


class Pages:
    """Around the framework: headers that every answer has, answers to HEAD, and the canonical line."""

    def __init__(self, framework: Litestar, state: WebState) -> None:
        self.framework = framework
        self._given: dict[str, Any] = {STATE: state}
        self._clock = state.api.clock
        self._instruments = state.api.instruments
        self._headers = _HEADERS | (dict([_HSTS]) if state.is_https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, started, status = scope["method"], self._clock.monotonic(), 0
        is_head = method == "HEAD"
        request_id = new_request_id()
        asked = scope | self._given | {REQUEST_ID: request_id}
        asked |= {"method": "GET", "web_is_head": True} if is_head else {}
        again_s = refresh.seconds_in(scope["query_string"].decode("latin-1")) if method == "GET" else 0

        async def send_on(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # A list of its own for each answer: what is appended to a shared one is sent to the next caller.
                given = list(message["headers"])
                names = {name.lower() for name, _ in given}
                given += [(name, value) for name, value in self._headers.items() if name not in names]
                given.append((b"x-request-id", request_id.encode()))
                if (
                    again_s
                    and b"refresh" not in names
                    and status != SEE_OTHER
                    and (b"content-type", b"text/html; charset=utf-8") in given
                ):
                    given.append((b"refresh", str(again_s).encode()))
                message = {**message, "headers": given}
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # The framework spells the same ASGI shapes as typed dictionaries.
        application = cast("Application", self.framework)
        try:
            with bound_contextvars(request_id=request_id):
                await application(asked, receive, send_on)
        finally:
            took = self._clock.monotonic() - started
            session, project, route = asked.get("web_session"), asked.get("web_project"), asked.get("path_template", "")
            known = method if method in _METHODS else "other"
            if asked.get("web_stream"):
                self._instruments.requests.add(known, route, f"{status // 100}xx")
            else:
                self._instruments.request(known, route or "none", status, took)
            line(
                "page",
                method=method,
                route=route,
                status=status,
                took_ms=round(took * 1000, 3),
                request_id=request_id,
                user=str(session.user_id) if session is not None else "",
                project=project.slug if project is not None else "",
            )
