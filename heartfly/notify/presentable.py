"""An alert as it may leave the house: nothing that cannot be encoded, and no ping address in it.

A ping address is a secret: whoever has it can fake a signal, and mail scanners open every link they
see. Jobs print it (`set -x`, `curl -v`), and people paste it into descriptions.
"""

from __future__ import annotations

from itertools import islice
from urllib.parse import urlsplit

from heartfly.core.alerts import (
    LAST_GOOD_CHARS,
    Alert,
    CauseFacts,
    ChannelFacts,
    CheckFacts,
    ConcernFacts,
    DigestFacts,
    NamedInDigest,
    RunFacts,
    TogetherFacts,
)
from heartfly.core.values import replace
from heartfly.notify.text import cut, from_whole_line, many_lines, tail, whole, without_ping_addresses

TAIL_LIMIT = 10_000
MAX_ITEMS = 200


def presentable(alert: Alert, *, base_url: str) -> Alert:
    host = urlsplit(base_url).netloc

    def safe(text: str, limit: int = 1_000) -> str:
        # Cut first: a name may be a megabyte.
        return without_ping_addresses(whole(cut(text, limit)), host=host)

    def safe_check(check: CheckFacts) -> CheckFacts:
        return replace(
            check,
            uuid=whole(check.uuid),
            name=safe(check.name),
            slug=whole(check.slug),
            tags=tuple(safe(tag) for tag in check.tags[:MAX_ITEMS]),
            description=safe(check.description, 10_000),
            schedule=safe(check.schedule, 10_000),
            dialect=whole(check.dialect),
            host=safe(check.host),
            rules=tuple(safe(rule) for rule in check.rules[:MAX_ITEMS]),
        )

    def safe_body(run: RunFacts) -> str:
        body = many_lines(run.body_tail[-4 * TAIL_LIMIT :])
        # A line that was cut may begin in the middle of a ping address, past what makes it known as one.
        return without_ping_addresses(from_whole_line(body) if run.body_cut else body, host=host)

    def safe_good(run: RunFacts) -> str:
        said = many_lines(run.last_good[-LAST_GOOD_CHARS:])
        is_cut = len(run.last_good) >= LAST_GOOD_CHARS
        return without_ping_addresses(from_whole_line(said) if is_cut else said, host=host)

    def safe_run(run: RunFacts) -> RunFacts:
        return replace(
            run,
            rid=None if run.rid is None else safe(run.rid),
            metrics={safe(name): safe(value) for name, value in islice(run.metrics.items(), MAX_ITEMS)},
            body_tail=tail(safe_body(run), limit=TAIL_LIMIT),
            last_good=safe_good(run),
            body_cut=run.body_cut or len(run.body_tail) > TAIL_LIMIT,
        )

    def safe_channel(channel: ChannelFacts) -> ChannelFacts:
        return replace(channel, uuid=whole(channel.uuid), name=safe(channel.name), error=safe(channel.error))

    def safe_digest(digest: DigestFacts) -> DigestFacts:
        def named(them: tuple[NamedInDigest, ...]) -> tuple[NamedInDigest, ...]:
            return tuple(
                replace(one, check_uuid=whole(one.check_uuid), check_name=safe(one.check_name)) for one in them
            )

        down = tuple(
            replace(one, check_uuid=whole(one.check_uuid), check_name=safe(one.check_name), acked_by=safe(one.acked_by))
            for one in digest.down
        )
        return replace(
            digest,
            down=down,
            degraded=named(digest.degraded),
            late=named(digest.late),
            never=named(digest.never),
            levels=tuple(
                replace(
                    one,
                    check_uuid=whole(one.check_uuid),
                    check_name=safe(one.check_name),
                    on_time=safe(one.on_time),
                    success=safe(one.success),
                )
                for one in digest.levels
            ),
            channels=tuple(safe_channel(channel) for channel in digest.channels),
        )

    def safe_concern(concern: ConcernFacts) -> ConcernFacts:
        return replace(
            concern,
            source=whole(concern.source),
            uuid=whole(concern.uuid),
            name=safe(concern.name),
            scope=safe(concern.scope),
            what=safe(concern.what),
            figure=safe(concern.figure),
            threshold=safe(concern.threshold),
            window=safe(concern.window),
            says=safe(concern.says),
            values=tuple((safe(when), safe(much)) for when, much in concern.values[:MAX_ITEMS]),
        )

    def safe_together(facts: TogetherFacts) -> TogetherFacts:
        members = tuple(
            replace(one, check_uuid=whole(one.check_uuid), check_name=safe(one.check_name))
            for one in facts.members[:MAX_ITEMS]
        )
        return replace(facts, what=whole(facts.what), name=safe(facts.name), members=members)

    def safe_cause(cause: CauseFacts) -> CauseFacts:
        return replace(cause, uuid=whole(cause.uuid), what=whole(cause.what), name=safe(cause.name))

    return replace(
        alert,
        project_slug=whole(alert.project_slug),
        project_name=safe(alert.project_name),
        incident=None if alert.incident is None else whole(alert.incident),
        explain=safe(alert.explain),
        verdict=safe(alert.verdict),
        check=None if alert.check is None else safe_check(alert.check),
        run=None if alert.run is None else safe_run(alert.run),
        channel=None if alert.channel is None else safe_channel(alert.channel),
        concern=None if alert.concern is None else safe_concern(alert.concern),
        digest=None if alert.digest is None else safe_digest(alert.digest),
        cause=None if alert.cause is None else safe_cause(alert.cause),
        together=None if alert.together is None else safe_together(alert.together),
        slots=tuple(
            replace(slot, check_uuid=whole(slot.check_uuid), check_name=safe(slot.check_name)) for slot in alert.slots
        ),
    )
