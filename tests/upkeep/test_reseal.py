"""A new key for what is sealed: nothing is lost on the way, wherever it is cut off."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from heartfly.accounts.commands import create_project, create_user
from heartfly.accounts.second_step import demand, switch_on
from heartfly.audit.chain_key import key_in
from heartfly.audit.fasten import fasten
from heartfly.audit.record import CLI
from heartfly.cli import main
from heartfly.config import Data, Database, Settings
from heartfly.core import totp
from heartfly.db.changes import Tx
from heartfly.db.models import channels, projects
from heartfly.errors import InvalidValueError, StoreError
from heartfly.ground import Ground, open_ground
from heartfly.sealing import Sealer, load_or_create, new_key, read_keys, write_keys
from heartfly.upkeep.reseal import Rotated, rotate, sealed_columns
from tests.sim_clock import SimClock

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
N_CHANNELS = 250
"""More than one batch."""


class CrashError(Exception):
    """The process dies here."""


def open_(settings: Settings) -> Ground:
    return open_ground(settings, clock=SimClock(NOW))


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Of a Heartfly that is not running, with some secrets in it."""
    made = Settings(data=Data(dir=tmp_path / "data"), database=Database(url=database_url))
    ground = open_(made)

    def work(tx: Tx) -> None:
        for slug in ("acme", "main"):
            create_project(tx, slug=slug, name=slug, zone="UTC", sealer=ground.sealer, at=NOW, ids=ground.ids)
        pid = tx.conn.execute(sa.select(sa.func.min(projects.c.id))).scalar_one()
        rows = [
            {
                "pid": pid, "id": n, "uuid": f"u{n}", "kind": "slack", "name": f"n{n}", "events": [], "created_at": NOW,
                "config_enc": ground.sealer.seal(b"hook %d" % n), "rev": 1,
            }
            for n in range(N_CHANNELS)
        ]  # fmt: skip
        tx.conn.execute(sa.insert(channels), rows)

    ground.database.transaction(work)
    ground.close()
    return made


def key_file(settings: Settings) -> Path:
    return settings.data.dir / "secret.key"


def secrets_of(settings: Settings, sealer: Sealer) -> list[bytes]:
    """Opened, in the order of their tables."""
    ground = open_(settings)
    try:
        return ground.database.transaction(
            lambda tx: [
                sealer.open(sealed)
                for table, column in sealed_columns()
                for sealed in tx.conn.execute(sa.select(column).order_by(*table.primary_key.columns)).scalars()
                if sealed is not None
            ]
        )
    finally:
        ground.close()


def rotated(settings: Settings, step: Callable[[str], None] = lambda _: None) -> Rotated:
    ground = open_(settings)
    try:
        return rotate(ground.database, key_file(settings), step=step)
    finally:
        ground.close()


def test_all_secrets_are_opened_by_the_new_key_and_none_by_the_old(settings: Settings) -> None:
    (old,) = read_keys(key_file(settings))
    before = secrets_of(settings, Sealer([old]))

    done = rotated(settings)

    (new,) = read_keys(key_file(settings))
    assert old != new
    assert before == secrets_of(settings, Sealer([new]))
    assert Rotated(n_secrets=N_CHANNELS + 2, n_resealed=N_CHANNELS + 2, resumed=False) == done
    with pytest.raises(StoreError):
        secrets_of(settings, Sealer([old]))
    assert 0o600 == stat.S_IMODE(key_file(settings).stat().st_mode)


def steps(settings: Settings) -> Iterator[str]:
    told: list[str] = []
    rotated(settings, told.append)
    yield from told


def test_killed_anywhere_a_server_can_start_and_a_second_run_ends_it(settings: Settings) -> None:
    before = secrets_of(settings, Sealer(read_keys(key_file(settings))))
    n_steps = len(list(steps(settings)))
    assert n_steps > 7

    for killed_at in range(n_steps):
        passed = iter(range(n_steps))

        def die(_: str, passed: Iterator[int] = passed, killed_at: int = killed_at) -> None:
            if next(passed) == killed_at:
                raise CrashError

        with pytest.raises(CrashError):
            rotated(settings, die)
        left = read_keys(key_file(settings))
        assert before == secrets_of(settings, Sealer(left)), killed_at  # opens the ground, as a server does
        done = rotated(settings)

        assert (len(left) > 1) == done.resumed
        assert 1 == len(read_keys(key_file(settings)))
        if done.resumed:  # no third key was made
            assert left[:1] == read_keys(key_file(settings))
        assert before == secrets_of(settings, Sealer(read_keys(key_file(settings))))


def test_what_is_sealed_between_two_runs_is_kept(settings: Settings) -> None:
    def die(what: str) -> None:
        if what.startswith("verify"):
            raise CrashError

    with pytest.raises(CrashError):
        rotated(settings, die)
    ground = open_(settings)  # somebody serves in between
    ground.database.transaction(
        lambda tx: create_project(tx, slug="new", name="New", zone="UTC", sealer=ground.sealer, at=NOW, ids=ground.ids)
    )
    ground.close()

    done = rotated(settings)

    assert Rotated(n_secrets=N_CHANNELS + 3, n_resealed=0, resumed=True) == done


def test_a_secret_that_no_key_opens_is_named_and_both_keys_stay(settings: Settings) -> None:
    stranger = Sealer([new_key()]).seal(b"lost")
    ground = open_(settings)
    ground.database.transaction(
        lambda tx: tx.conn.execute(sa.update(channels).where(channels.c.id == 7).values(config_enc=stranger)) and None
    )
    ground.close()

    with pytest.raises(StoreError, match=r"channels \d+/7: a stored secret cannot be opened"):
        rotated(settings)

    assert 2 == len(read_keys(key_file(settings)))


def test_every_sealed_column_is_known() -> None:
    assert {"projects.ping_key_enc", "channels.config_enc"} <= {f"{t.name}.{c.name}" for t, c in sealed_columns()}


def test_a_key_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    keys = [new_key(), new_key()]
    write_keys(path, keys[:1])
    (tmp_path / ".secret.key.new").write_bytes(b"half of a k")  # what a killed run left

    write_keys(path, keys)

    assert keys == read_keys(path)
    assert ["secret.key"] == [each.name for each in tmp_path.iterdir()]


def test_the_second_step_of_a_user_goes_on_with_the_new_key(settings: Settings) -> None:
    secret, step = b"12345678901234567890", totp.step_of(NOW)
    ground = open_(settings)

    def work(tx: Tx) -> int:
        user_id = create_user(
            tx, email="ada@example.com", password_hash="x", is_admin=True, actor=CLI, at=NOW, ids=ground.ids
        )
        switch_on(
            tx, user_id, secret, totp.code_of(secret, step - 1), sealer=ground.sealer, actor=CLI, at=NOW, ids=ground.ids
        )
        return user_id

    user_id = ground.database.transaction(work)
    ground.close()

    assert N_CHANNELS + 3 == rotated(settings).n_resealed

    ground = open_(settings)
    code = totp.code_of(secret, step)
    ground.database.transaction(lambda tx: demand(tx, user_id, code, sealer=ground.sealer, at=NOW))
    with pytest.raises(InvalidValueError):
        ground.database.transaction(lambda tx: demand(tx, user_id, code, sealer=ground.sealer, at=NOW))
    ground.close()


def test_the_chain_of_the_audit_holds_under_the_new_key_and_its_own_stays_what_it_was(settings: Settings) -> None:
    def chain(tx: Tx) -> bytes:
        return key_in(tx, load_or_create(key_file(settings))).of_gone(1)

    ground = open_(settings)
    before = ground.database.transaction(chain)
    ground.database.transaction(lambda tx: fasten(tx, key_in(tx, ground.sealer), at=NOW))
    ground.close()
    old = key_file(settings).read_bytes()

    assert N_CHANNELS + 3 == rotated(settings).n_resealed

    assert old != key_file(settings).read_bytes()
    ground = open_(settings)
    assert before == ground.database.transaction(chain)
    ground.close()
    env = {"HEARTFLY_DATABASE__URL": settings.database.url} if settings.database.url else {}
    result = CliRunner().invoke(main, ["audit", "verify", "--json", "--data", str(settings.data.dir)], env=env)
    assert (0, 2, 0) == (result.exit_code, *[json.loads(result.output)[name] for name in ("holding", "faults")])
