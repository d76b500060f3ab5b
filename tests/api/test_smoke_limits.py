from __future__ import annotations
import pytest
from tests.api.door import House
pytestmark = pytest.mark.anyio
async def test_smoke(house: House):
    async def post(path, body): 
        r = await house.full("POST", path, body); print(r.status, r.body, r.headers.get("retry-after")); return r
    await post("/v1/limits", {"kind": "rolling", "period_s": 3600, "amount": 3, "scope": {"customer": "each"}})
    body = {"scope": {"provider": "openai", "customer": "acme", "tags": ["a", "b"]}}
    for n in range(4):
        r = await post("/v1/limits/check", body)
        if n == 0: first = r.json["reservation"]
    await post(f"/v1/limits/reservations/{first}/release", {})
    await post("/v1/limits/check?status=429", body)
    await post("/v1/limits/check?status=429", body)
    await post("/v1/limits/simulate", {"policy": "1000;w=3600;u=request;s=user"})
    for p in ("/v1/limits", "/v1/limits/denials", "/v1/limits/providers"):
        r = await house.full("GET", p); print(r.status, r.body)
