"""Tells a Heartfly of each request that a Python web application answers: one line of middleware, ASGI or WSGI.

The request waits for none of it: what it leaves is put into a bounded list, and a thread makes events of it, which go
to the durable sender's queue on disk. A list or a disk that is full costs records, which are counted, and no request.
"""

from heartfly_client.recorder.asgi import ASGIRecorder
from heartfly_client.recorder.record import Ips
from heartfly_client.recorder.recorder import Recorder
from heartfly_client.recorder.wsgi import WSGIRecorder

__all__ = ["ASGIRecorder", "Ips", "Recorder", "WSGIRecorder"]
