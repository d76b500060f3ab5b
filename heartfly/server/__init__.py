"""The HTTP server: uvicorn's request cycle on a connection of our own, inside the caller's event loop.

run.py serves and drains, protocol.py is one connection, rules.py says which requests are no HTTP,
sockets.py opens or inherits what we listen on, forwarded.py says who a proxy speaks for. Signals,
logging of requests and the application's life are the caller's. Why: docs/decisions/0011-http-server.md.
"""

from heartfly.server.forwarded import client_address
from heartfly.server.limits import ServerLimits
from heartfly.server.run import serve
from heartfly.server.sockets import open_sockets

__all__ = ["ServerLimits", "client_address", "open_sockets", "serve"]
