"""What OpenMeter's calls that change something refuse, so that nothing else is changed or held up by them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.door import House

pytestmark = pytest.mark.anyio

COUNTS: dict[str, Any] = {"event_types": ["call"], "aggregation": "count", "group_keys": ["region"]}
METER = "/openmeter/api/v1/meters/calls"


async def test_groups_are_not_edited_over_versions_that_were_made_later_for_a_part(house: House) -> None:
    await house.full("POST", "/v1/meters", COUNTS | {"slug": "calls", "name": "Calls"})
    edit: dict[str, Any] = {"name": "All calls", "groupBy": {"tier": "$.tier"}}
    assert 200 == (await house.full("PUT", METER, edit)).status
    later = COUNTS | {"event_types": ["ring"], "from_at": "2200-01-01T00:00:00Z"}
    assert 201 == (await house.full("POST", "/v1/meters/calls/versions", later)).status

    same = await house.full("PUT", METER, edit)
    other = await house.full("PUT", METER, {"name": "None", "groupBy": {}})

    assert (200, {"tier": "$.tier"}) == (same.status, same.json["groupBy"])
    assert 409 == other.status
    assert "other versions hold for a part" in other.json["detail"]
    versions = (await house.full("GET", "/v1/meters/calls")).json["versions"]
    assert (3, "All calls") == (len(versions), (await house.full("GET", METER)).json["name"])


async def test_more_aliases_than_a_customer_may_have_are_refused_before_any_is_looked_up(house: House) -> None:
    await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["k0"]})
    body = {"name": "Many", "usageAttribution": {"subjectKeys": [f"k{n}" for n in range(1_001)]}}

    for method, path in (("POST", ""), ("PUT", "/k0")):
        reply = await house.full(method, f"/openmeter/api/v1/customers{path}", body)

        assert 422 == reply.status
        assert "usageAttribution.subjectKeys: are more than 1000" in reply.json["detail"]
