"""What docs/channels.md says of each kind is what the code asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.told_by_settings import ToldBySettings

PAGE = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")
TOLD = [channel for channel in CHANNELS.values() if isinstance(channel, ToldBySettings)]


@pytest.mark.parametrize("channel", TOLD, ids=[channel.kind for channel in TOLD])
def test_each_kind_has_a_section_with_all_of_its_settings(channel: ToldBySettings) -> None:
    _, _, section = PAGE.partition(f"\n## {channel.title}\n")
    section = section.partition("\n## ")[0]

    rows = dict(re.findall(r"^\| `([a-z]+)` \| (.*) \|$", section, re.MULTILINE))

    assert f"`{channel.kind}`." in section
    assert [one.name for one in channel.settings] == list(rows)
    for one in channel.settings:
        assert one.is_secret == ("(secret)" in rows[one.name])
        assert (one.usual is not None) == ("left out" in rows[one.name])
        assert not one.usual or f"`{one.usual}`" in rows[one.name]
