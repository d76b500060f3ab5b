"""The registry. A new channel is one file here and one line below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from heartfly.notify.channels.apprise import AppriseChannel
from heartfly.notify.channels.base import Channel
from heartfly.notify.channels.email import EmailChannel
from heartfly.notify.channels.slack import SlackChannel
from heartfly.notify.channels.webhook import WebhookChannel

CHANNELS: Mapping[str, Channel] = MappingProxyType(
    {
        EmailChannel.kind: EmailChannel(),
        SlackChannel.kind: SlackChannel(),
        WebhookChannel.kind: WebhookChannel(),
        AppriseChannel.kind: AppriseChannel(),
    }
)
