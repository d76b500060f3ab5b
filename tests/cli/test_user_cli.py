"""`heartfly user …` on a data directory, as an administrator of the machine types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from heartfly.accounts.passwords import matches
from heartfly.cli import main
from heartfly.clock import SystemClock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import members, passkeys, sessions, users
from tests.server_process import Server

Run = Callable[..., Result]
PASSWORD = "correct horse battery"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*arguments: str, given: str = f"{PASSWORD}\n") -> Result:
        env = {"HEARTFLY_DATA__DIR": str(tmp_path / "data")}
        return CliRunner().invoke(main, list(arguments), env=env, input=given, prog_name="heartfly")

    return run


@pytest.fixture
def furnished(run: Run) -> Run:
    done = run("init", "--email", "ada@example.com", "--password-stdin", "--project", "acme")
    assert 0 == done.exit_code, done.output
    return run


def stored(tmp_path: Path) -> dict[str, tuple[bool, int]]:
    """Of each address: whether the password is PASSWORD, and in how many projects he is."""
    database = Database(url="", data_dir=tmp_path / "data", clock=SystemClock())
    n_in = sa.select(sa.func.count()).select_from(members).where(members.c.user_id == users.c.id).scalar_subquery()
    query = sa.select(users.c.email, users.c.password_hash, n_in.label("n"))
    try:
        rows = database.transaction(lambda tx: tx.conn.execute(query).all())
    finally:
        database.close()
    return {row.email: (matches(row.password_hash, PASSWORD), row.n) for row in rows}


def test_users_are_made(furnished: Run, tmp_path: Path) -> None:
    admin = furnished("user", "create", "--email", "bob@example.com", "--password-stdin", "--admin")
    other = furnished("user", "create", "--email", "eve@example.com", given=f"{PASSWORD}\n{PASSWORD}\n")

    assert (0, "bob@example.com may sign in, as owner of every project.\n") == (admin.exit_code, admin.output)
    assert 0 == other.exit_code, other.output
    assert "eve@example.com may sign in; he is in no project yet." in other.output
    assert PASSWORD not in admin.output + other.output
    assert {"ada@example.com": (True, 1), "bob@example.com": (True, 1), "eve@example.com": (True, 0)} == stored(
        tmp_path
    )


def test_a_password_is_reset(furnished: Run, tmp_path: Path) -> None:
    done = furnished("user", "reset", "--email", "ADA@example.com", "--password-stdin", given="another staple\r\n")

    assert 0 == done.exit_code, done.output
    assert {"ada@example.com": (False, 1)} == stored(tmp_path)
    assert 0 == furnished("user", "reset", "--email", "ada@example.com", "--password-stdin").exit_code
    assert {"ada@example.com": (True, 1)} == stored(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["create", "--email", "nobody"], PASSWORD, "email: must be"),
        (["create", "--email", "ada@example.com"], PASSWORD, "there is a user ada@example.com already"),
        (["create", "--email", "b@example.com"], "short", "password: must have at least 10"),
        (["create", "--email", "b@example.com"], "", "password: must have at least 10"),
        (["reset", "--email", "b@example.com"], PASSWORD, "there is no user b@example.com"),
        (["reset", "--email", "ada@example.com"], "short", "password: must have at least 10"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    furnished: Run, tmp_path: Path, arguments: list[str], given: str, words: str
) -> None:
    result = furnished("user", *arguments, "--password-stdin", given=given)

    assert (1, True) == (result.exit_code, words in result.output), result.output
    assert {"ada@example.com": (True, 1)} == stored(tmp_path)


def test_the_first_user_comes_with_the_first_project(run: Run, tmp_path: Path) -> None:
    result = run("user", "create", "--email", "a@example.com", "--password-stdin", "--admin")

    assert (1, True) == (result.exit_code, "heartfly init" in result.output), result.output
    assert {} == stored(tmp_path)


@pytest.mark.e2e
def test_while_a_server_has_the_data_it_is_left_alone(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.init()
    server.start()
    try:
        env = {"HEARTFLY_DATA__DIR": str(tmp_path / "heartfly-data")}
        arguments = ["user", "reset", "--email", "ada@example.com", "--password-stdin"]
        result = CliRunner().invoke(main, arguments, env=env, input=f"{PASSWORD}\n", prog_name="heartfly")
    finally:
        server.kill()

    assert (1, True) == (result.exit_code, "stop it first" in result.output), result.output


def test_a_second_step_is_switched_off(furnished: Run, tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path / "data", clock=SystemClock())
    on = {"totp_enc": b"sealed", "totp_step": 1, "totp_since": SystemClock().now()}
    database.transaction(lambda tx: tx.conn.execute(sa.update(users).values(on)).rowcount)
    database.close()

    done = furnished("user", "reset-2fa", "--email", "Ada@example.com")
    unknown = furnished("user", "reset-2fa", "--email", "eve@example.com")

    assert (0, 1) == (done.exit_code, unknown.exit_code), done.output
    assert "there is no user eve@example.com" in unknown.output
    database = Database(url="", data_dir=tmp_path / "data", clock=SystemClock())
    row = database.transaction(lambda tx: tx.conn.execute(sa.select(users)).one())
    database.close()
    assert (None, None, None) == (row.totp_enc, row.totp_step, row.totp_since)


@pytest.mark.parametrize("demanded", ["optional", "required"])
def test_passkeys_are_left_or_taken_and_it_says_how_he_signs_in_now(
    furnished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demanded: str
) -> None:
    monkeypatch.setenv("HEARTFLY_ACCOUNTS__SECOND_STEP", demanded)
    at = SystemClock().now()

    def work(tx: Tx) -> None:
        user_id = tx.conn.execute(sa.select(users.c.id)).scalar_one()
        for n in (1, 2):
            row = {"id": n, "credential": str(n), "public_key": b"", "n_uses": 0, "name": "Phone", "created_at": at}
            tx.conn.execute(sa.insert(passkeys).values(row | {"user_id": user_id}))
        row = {"id": 1, "token_hash": "x", "created_at": at, "seen_at": at, "ip": "", "agent": ""}
        tx.conn.execute(sa.insert(sessions).values(row | {"user_id": user_id}))

    database = Database(url="", data_dir=tmp_path / "data", clock=SystemClock())
    database.transaction(work)
    database.close()
    left = furnished("user", "reset-2fa", "--email", "ada@example.com")
    taken = furnished("user", "reset-2fa", "--email", "ada@example.com", "--passkeys", "--json")

    assert (0, 0) == (left.exit_code, taken.exit_code), left.output + taken.output
    assert {"optional": "with the password alone now", "required": "signs in with a passkey, as there is one"}[
        demanded
    ] in left.output
    assert {"email": "ada@example.com", "n_passkeys": 0} == json.loads(taken.output)
    again = furnished("user", "reset-2fa", "--email", "ada@example.com").output
    assert ("sets up another second step or a passkey then" in again) == (demanded == "required")
    database = Database(url="", data_dir=tmp_path / "data", clock=SystemClock())
    n_left = database.transaction(lambda tx: len(tx.conn.execute(sa.select(sessions.c.id)).all()))
    database.close()
    assert 0 == n_left


def test_a_user_is_deleted_but_not_a_projects_last_owner(furnished: Run, tmp_path: Path) -> None:
    furnished("user", "create", "--email", "eve@example.com", given=f"{PASSWORD}\n{PASSWORD}\n")
    kept = furnished("user", "delete", "--email", "eve@example.com", given="n\n")
    done = furnished("user", "delete", "--email", "Eve@example.com", "--yes")
    last = furnished("user", "delete", "--email", "ada@example.com", "--yes")

    assert (1, 0, 1) == (kept.exit_code, done.exit_code, last.exit_code), done.output
    assert "the project acme has no other owner" in last.output
    assert ["ada@example.com"] == list(stored(tmp_path))
