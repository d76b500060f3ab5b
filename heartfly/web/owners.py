"""Whose a check's fields are, on its page: the client's of its job or a person's, and a button that changes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Response, post

from heartfly.checks import queries
from heartfly.checks.owned import CLIENT, PERSON, client_of, whose
from heartfly.checks.owners import set_owners
from heartfly.core.managed import files_of
from heartfly.web.request import FOR_WRITERS, PageRequest
from heartfly.web.sign_in import to

LABELS = {
    "name": "Name", "tags": "Tags", "description": "Description", "schedule": "Schedule", "grace": "Grace",
    "max_run": "Longest run", "tolerance": "Tolerance", "gates": "Gates", "channels": "Channels",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Whose:
    """Fields with their labels. `files`: those as code that name the check. Without any, nothing is shown."""

    client: str
    of_client: Sequence[tuple[str, str]]
    of_person: Sequence[tuple[str, str]]
    files: Sequence[str]


def whose_of(row: Any, heard: Iterable[str]) -> Whose | None:
    """None: no client and no file says anything of it; that a ping made it is no description."""
    client, files = client_of(row), files_of(row.tags)
    if not client and not files:
        return None
    found = whose(row, heard) if client else {}
    of_client = [(name, LABELS[name]) for name, owner in found.items() if owner == CLIENT]
    of_person = [(name, LABELS[name]) for name, owner in found.items() if owner == PERSON]
    return Whose(client, of_client, of_person, files)


@post("/p/{project:str}/checks/{check:str}/owners", opt=FOR_WRITERS, status_code=200)
async def save(request: PageRequest) -> Response[bytes]:
    """One field: to whom it goes."""
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    form = await request.sent()
    async with api.database.read() as read:
        row = await queries.find_addressed(read, pid, request.path_value("check"))
    owners = {form["field"]: form["whose"]}
    await api.database.write(lambda tx: set_owners(tx, pid, row.uuid, owners, at=at, ids=api.ids, actor=actor))
    return to(request, f"/p/{request.project.slug}/checks/{row.uuid}")
