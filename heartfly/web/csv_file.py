"""A table of a page as a file for a spreadsheet. Which tables there are, and what they hold, their pages decide."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from litestar import Response

from heartfly.api.v1.figures import plain
from heartfly.errors import InvalidValueError

Table = tuple[Sequence[str], Iterable[Sequence[Any]]]
"""The names of the columns, and the rows."""


def demand_table(name: str, known: Collection[str], errors: Mapping[str, str]) -> None:
    """InvalidValueError: the page's own fields are wrong (`errors`: by field), or it has no such table."""
    if errors:
        field, message = next(iter(errors.items()))
        raise InvalidValueError(field, message)
    if name not in known:
        raise InvalidValueError("table", f"must be one of {', '.join(known)}")


def csv_file(name: str, table: Table) -> Response[bytes]:
    """To be saved as `name`.csv. What outside has named never begins as a formula would."""
    head, rows = table
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(head)
    lines.writerows([plain(one) if isinstance(one, str) else one for one in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(written.getvalue().encode(errors="replace"), media_type="text/csv", headers=headers)
