"""The rooms in which every change should be noticed, and the tests that are asked: those beside the code, and cheap."""

from __future__ import annotations

from dataclasses import dataclass

GOAL = 0.85


@dataclass(frozen=True, slots=True)
class Room:
    name: str
    code: tuple[str, ...]
    """Patterns of files."""
    tests: tuple[str, ...]


ROOMS = (
    Room("core", ("heartfly/core/*.py",), ("tests/core",)),
    Room(
        "life",  # the middle of core: when a check changes its status
        tuple(f"heartfly/core/{name}.py" for name in ("alike", "bounds", "check", "slots", "tolerance")),
        (
            "tests/core/test_alike.py",
            *(
                f"tests/core/test_check_{name}.py"
                for name in (
                    "bounds",
                    "commands",
                    "first_ping",
                    "late_rules",
                    "machine",
                    "runs",
                    "silence",
                    "table",
                    "tolerance",
                    "unverified",
                )
            ),
        ),
    ),
    Room(
        "outbox",
        ("heartfly/notify/outbox.py",),
        ("tests/notify/test_outbox.py", "tests/notify/test_dispatch.py", "tests/notify/test_peace.py"),
    ),
    Room("group_commit", ("heartfly/db/group_commit.py",), ("tests/db/test_group_commit.py",)),
    Room(
        "rollups",
        ("heartfly/usage/fold.py", "heartfly/usage/rollup_rows.py", "heartfly/usage/reconcile.py"),
        (
            *(
                f"tests/usage/test_{name}.py"
                for name in (
                    *("fold", "close_day", "corrections", "answers", "proof_by_columns", "swept"),
                    *("what_a_proof_finds", "requests", "request_proof", "request_tiers"),
                )
            ),
            "tests/calls/test_kept_and_proved.py",  # a fold is also told requests and calls, and a proof counts them
        ),
    ),
    Room(
        "ssrf",
        tuple(f"heartfly/net/{name}.py" for name in ("addresses", "connect", "resolver", "rules", "urls")),
        (
            "tests/net/test_net_addresses.py",
            "tests/net/test_net_only_to.py",
            "tests/net/test_net_proxy.py",
            "tests/net/test_net_refusals.py",
            "tests/net/test_net_resolver.py",
            "tests/net/test_net_ssrf.py",
            "tests/net/test_net_urls.py",
        ),
    ),
)
