"""Whose API an address is, which model its path names, and which endpoint it is. Programs may say more of hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from heartfly_client.paths import BUILT_IN, Rules, rules_of

HOSTS: Mapping[str, str] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "aiplatform.googleapis.com": "vertex_ai",
    "maps.googleapis.com": "google_maps",
    "googleapis.com": "google",
    "openai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "services.ai.azure.com": "azure_ai",
    "amazonaws.com": "aws",
    "api.apify.com": "apify",
    "api.mistral.ai": "mistral",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.together.xyz": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "openrouter.ai": "openrouter",
    "api.perplexity.ai": "perplexity",
    "api.replicate.com": "replicate",
    "api.elevenlabs.io": "elevenlabs",
    "api.deepgram.com": "deepgram",
    "api.assemblyai.com": "assemblyai",
    "api.voyageai.com": "voyage",
    "huggingface.co": "huggingface",
    "api.stripe.com": "stripe",
    "api.twilio.com": "twilio",
    "api.sendgrid.com": "sendgrid",
    "api.github.com": "github",
    "slack.com": "slack",
}
"""A host, or what it ends with after a point. AI providers are called as LiteLLM's price list calls them."""

_BEDROCK = re.compile(r"bedrock-runtime(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com", re.ASCII)
_VERTEX = re.compile(r"[a-z0-9-]+-aiplatform\.googleapis\.com", re.ASCII)
_MODEL_IN_PATH = re.compile(
    r"(?P<before>/(?:models|deployments|model|engines)/)(?P<model>[^/:]+)(?P<after>(?::|/|\Z).*)"
)
_HAVE_MODELS_IN_PATHS = frozenset({"gemini", "vertex_ai", "azure", "azure_ai", "bedrock", "huggingface"})

_OWN_RULES: Mapping[str, Rules] = {
    # Their ids are shorter than what looks like one.
    "apify": rules_of([
        "/v2/acts/{actor}", "/v2/acts/{actor}/{rest...}", "/v2/actor-runs/{run}", "/v2/actor-runs/{run}/dataset/items",
        "/v2/actor-runs/{run}/{rest...}", "/v2/datasets/{dataset}", "/v2/datasets/{dataset}/items",
        "/v2/datasets/{dataset}/{rest...}", "/v2/acts/{actor}/runs", "/v2/acts/{actor}/run-sync-get-dataset-items",
        "/v2/key-value-stores/{store}/{rest...}", "/v2/request-queues/{queue}/{rest...}",
    ]),
}  # fmt: skip


class Place(NamedTuple):
    provider: str
    model: str
    endpoint: str


def provider_of(host: str, own: Mapping[str, str]) -> str:
    """`own`: the program's, which come first. A host that nobody knows is a provider by its own name."""
    host = host.lower().rstrip(".")
    for table in (own, HOSTS):
        found = _in(table, host)
        if found is not None and found not in {"aws", "google"}:
            return found
        if found is not None:
            if found == "aws" and _BEDROCK.fullmatch(host):
                return "bedrock"
            return "vertex_ai" if found == "google" and _VERTEX.fullmatch(host) else found
    return host or "unknown"


def _in(table: Mapping[str, str], host: str) -> str | None:
    name = host
    while name:
        if (found := table.get(name)) is not None:
            return found
        name = name.partition(".")[2]
    return None


def place_of(host: str, path: str, own: Mapping[str, str], rules: Rules) -> Place:
    """`path`: without a query. A model that stands in it is told apart: else each would be an endpoint of its own."""
    provider = provider_of(host, own)
    if rules == BUILT_IN:
        rules = _OWN_RULES.get(provider, rules)
    if provider in _HAVE_MODELS_IN_PATHS and (fit := _MODEL_IN_PATH.search(path)) is not None:
        around = f"{path[: fit.start()]}{fit['before']}{{model}}{fit['after']}"
        # What follows a colon is the method of Google's, no part of an identifier.
        return Place(provider, unquote(fit["model"]), rules.normal(around))
    return Place(provider, "", rules.normal(path))
