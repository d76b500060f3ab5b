"""Query parameters that a route does not know are refused by name: a filter that is misspelled would find all."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import QueryParameter

from heartfly.errors import InvalidValueError

_SHOWN = 100
_KNOWN: dict[Any, frozenset[str]] = {}
"""By the function of a route, of which there are few; each application has handlers of its own for them."""


class UnknownParameterError(InvalidValueError):
    """The route has no parameter of that name."""


async def known_only(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard, behind the one that asks for the key: who has none hears only that."""
    known = _KNOWN.get(handler.fn)
    if known is None:
        known = _KNOWN[handler.fn] = _parameters(handler)
    # `opt={"families": ("filter",)}`: whatever stands in brackets behind such a name.
    families = tuple(f"{name}[" for name in handler.opt.get("families", ()))
    query: bytes = connection.scope["query_string"]
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace"):
        # A stray `&` or `=` has no name, and means nothing.
        if name and name not in known and not name.startswith(families):
            told = f"known are {', '.join(sorted(known))}" if known else "this route has none"
            raise UnknownParameterError(name[:_SHOWN], f"is not a known parameter; {told}")


def _parameters(handler: BaseRouteHandler) -> frozenset[str]:
    """As callers spell them; also those of what is worked out before the handler is called."""
    provided = (one.parsed_fn_signature for one in handler.resolve_dependencies().values())
    return frozenset(
        field.kwarg_definition.name or name
        for signature in (handler.parsed_fn_signature, *provided)
        for name, field in signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    )
