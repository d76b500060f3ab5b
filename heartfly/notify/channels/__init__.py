"""The registry. A new channel is one file here and one line below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from heartfly.notify.channels.apprise import AppriseChannel
from heartfly.notify.channels.base import Channel
from heartfly.notify.channels.discord import DiscordChannel
from heartfly.notify.channels.email import EmailChannel
from heartfly.notify.channels.github import GitHubChannel
from heartfly.notify.channels.matrix import MatrixChannel
from heartfly.notify.channels.mattermost import MattermostChannel
from heartfly.notify.channels.ntfy import NtfyChannel
from heartfly.notify.channels.opsgenie import OpsgenieChannel
from heartfly.notify.channels.pagerduty import PagerDutyChannel
from heartfly.notify.channels.pushover import PushoverChannel
from heartfly.notify.channels.slack import SlackChannel
from heartfly.notify.channels.teams import TeamsChannel
from heartfly.notify.channels.telegram import TelegramChannel
from heartfly.notify.channels.twilio import TwilioChannel
from heartfly.notify.channels.webhook import WebhookChannel
from heartfly.notify.channels.zulip import ZulipChannel

_ALL: tuple[Channel, ...] = (
    EmailChannel(),
    SlackChannel(),
    WebhookChannel(),
    DiscordChannel(),
    TeamsChannel(),
    TelegramChannel(),
    MattermostChannel(),
    ZulipChannel(),
    MatrixChannel(),
    NtfyChannel(),
    PushoverChannel(),
    TwilioChannel(),
    PagerDutyChannel(),
    OpsgenieChannel(),
    GitHubChannel(),
    AppriseChannel(),
)
CHANNELS: Mapping[str, Channel] = MappingProxyType({channel.kind: channel for channel in _ALL})
