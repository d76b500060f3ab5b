"""Going somewhere by a few letters: checks by name, and the pages. The script shows it as a dialog (keys.js)."""

from __future__ import annotations

from litestar import Response, get

from heartfly.checks import queries
from heartfly.checks.queries import Wanted
from heartfly.checks.unjudged import excused
from heartfly.core import text
from heartfly.errors import InvalidValueError
from heartfly.web.request import PageRequest
from heartfly.web.shown import shown_status

MOST = 12
_PAGES = (
    ("checks", "Checks"),
    ("checks?view=timeline", "Checks: timeline"),
    ("checks?view=next", "Checks: next 24 hours"),
    ("service-levels", "Checks: service levels"),
    ("incidents", "Incidents"),
    ("channels", "Channels"),
    ("maintenance", "Maintenance"),
    ("status-pages", "Status pages"),
    ("usage", "Usage: overview of requests"),
    ("usage/endpoints", "Usage: endpoints"),
    ("usage/requests", "Usage: single requests"),
    ("usage/paths", "Usage: path rules"),
    ("usage/meters", "Usage: meters"),
    ("usage/customers", "Usage: customers"),
    ("usage/jobs", "Usage: aggregation runs"),
    ("usage/backfills", "Usage: backfills"),
    ("usage/apis", "Usage: calls of external APIs"),
    ("usage/costs", "Usage: costs"),
    ("usage/limits", "Usage: limits"),
    ("usage/prices", "Usage: prices"),
    ("usage/budgets", "Usage: budgets"),
    ("usage/alerts", "Usage: alert rules"),
    ("usage/events", "Usage: events"),
    ("usage/dead-letters", "Usage: dead letters"),
    ("usage/sources", "Usage: sources"),
    ("usage/watches", "Usage: watches"),
    ("usage/archive", "Usage: archive"),
    ("settings/team", "Settings: team"),
    ("badges", "Settings: badges"),
)
_OF_WRITERS = (
    ("checks/new", "New check"),
    ("maintenance/new", "New maintenance"),
    ("usage/meters/new", "New meter"),
    ("usage/backfills/new", "New backfill"),
    ("usage/prices/new", "New price"),
    ("usage/budgets/new", "New budget"),
    ("usage/alerts/new", "New alert rule"),
    ("usage/watches/new", "New watch"),
)
_OF_ADMINS = (
    ("status-pages/new", "New status page"),
    ("settings/general", "Settings: general"),
    ("settings/keys", "Settings: API keys"),
    ("audit", "Settings: audit"),
)
_OF_ONESELF = (
    ("account/profile", "Your account: profile"),
    ("account/security", "Your account: security"),
    ("account/keyboard", "Keyboard"),
    ("docs", "Documentation"),
    ("docs/reference", "Documentation: API reference"),
)


@get("/p/{project:str}/go")
async def show(request: PageRequest) -> Response[bytes]:
    """`?q=`: words, each of which stands in the name, slug, tags or description of a check, or in a page's name."""
    api, project, now = request.api, request.project, request.api.clock.now()
    try:
        words = text.one_line(request.query_params.get("q", "").strip(), field="q", most=200).split()[:10]
    except InvalidValueError as error:
        return await request.page("go.html", status=422, q="", wrong=error.message, checks=[], pages=[], more=False)
    async with api.database.read() as read:
        rows = await queries.find_many(read, project.pid, Wanted(words=words), after=None, limit=MOST + 1)
        late_not = (await excused(read, project.pid, now=now)).ids
    return await request.page(
        "go.html",
        q=" ".join(words),
        wrong="",
        checks=[(row.uuid, row.name, shown_status(row, now, late_not)) for row in rows[:MOST]],
        more=len(rows) > MOST,
        pages=_pages(request, words),
    )


def _pages(request: PageRequest, words: list[str]) -> list[tuple[str, str]]:
    project = request.project
    of_project = [*_PAGES, *(_OF_WRITERS if project.may_write else ()), *(_OF_ADMINS if project.administers else ())]
    all_of_them = [(f"p/{project.slug}/{path}", name) for path, name in of_project] + list(_OF_ONESELF)
    return [(path, name) for path, name in all_of_them if all(word.lower() in name.lower() for word in words)]
