"""Whoever has only the database can change nothing of the audit that its chain would not tell."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from sqlalchemy import Executable

from heartfly.audit.chain import ChainKey
from heartfly.checks import erase_project
from heartfly.db.database import Database
from heartfly.db.models import audit, audit_chain, audit_clasps, audit_gone
from heartfly.sealing import Sealer, new_key, write_keys
from tests.audit.book import ADA, MINUTE, T0, Book
from tests.world import make_world

pytestmark = pytest.mark.anyio


def edited(entry_id: int, **values: object) -> Executable:
    return sa.update(audit).where(audit.c.id == entry_id).values(values)


async def test_what_nobody_touched_holds_and_the_newest_clasp_is_told_to_be_noted_down(book: Book) -> None:
    await book.clasps(2, 3)

    code, said = book.told()

    assert 0 == code, said
    assert "As they were: 5 entries, in 2 clasps." in said
    assert said.strip().endswith(f"to be noted down elsewhere: {await book.newest()}")
    assert "Does not hold" not in said


async def test_before_there_is_a_chain_nothing_is_proved_and_that_is_said(book: Book) -> None:
    await book.entry()

    code, said = book.told()

    assert 0 == code
    assert "There is no chain yet" in said
    assert "1 entry in no clasp yet, which proves nothing about them" in said
    assert (0, None) == (book.verified()[1]["clasps"], book.verified()[1]["newest"])


@pytest.mark.parametrize(
    "values",
    [
        {"after": {"name": "n9"}},
        {"before": None},
        {"actor": "user:eve@example.org"},
        {"action": "check.create"},
        {"object": "check:7"},
        {"at": T0 + MINUTE},
        {"ip": None},
    ],
    ids=lambda values: next(iter(values)),
)
async def test_an_entry_that_was_edited_is_named_whatever_was_edited(book: Book, values: dict[str, object]) -> None:
    ids = await book.clasps(2, 3)

    await book.past_heartfly(edited(ids[3], **values))

    assert [(2, ids[3], "is not what it was")] == book.faults()
    assert f"Does not hold: entry {ids[3]} of project main, clasp 2, is not what it was." in book.told()[1]


async def test_an_entry_that_was_removed_is_named(book: Book) -> None:
    ids = await book.clasps(2, 3)

    await book.past_heartfly(sa.delete(audit).where(audit.c.id == ids[0]))

    assert [(1, ids[0], "is missing")] == book.faults()


async def test_an_entry_that_was_put_in_among_old_ones_is_named(book: Book) -> None:
    ids = await book.clasps(2, 3)
    row, forged = (await book.row(ids[0]))._asdict(), book.ids.next(T0)

    await book.past_heartfly(sa.insert(audit).values(row | {"id": forged}))

    assert [(1, forged, "was put in")] == book.faults()


@pytest.mark.parametrize("clasp", [-1, 0, 3, 1 << 40])
async def test_an_entry_that_names_a_clasp_that_there_is_not_is_named(book: Book, clasp: int) -> None:
    """The job would else pass over it, as it is in one already."""
    ids = await book.clasps(2, 3)
    row, forged = (await book.row(ids[0]))._asdict(), book.ids.next(T0)

    await book.past_heartfly(sa.insert(audit).values(row | {"id": forged, "clasp": clasp}))

    assert [(clasp, forged, "names a clasp that there is not")] == book.faults()


async def test_two_entries_that_change_places_are_both_named(book: Book) -> None:
    ids = await book.clasps(2, 3)
    first, second = await book.row(ids[0]), await book.row(ids[4])

    await book.past_heartfly(
        edited(ids[0], after=second.after, object=second.object, at=second.at),
        edited(ids[4], after=first.after, object=first.object, at=first.at),
    )

    assert [(1, ids[0], "is not what it was"), (2, ids[4], "is not what it was")] == book.faults()


async def test_an_entry_that_is_taken_out_to_come_in_anew_is_missing_where_it_was(book: Book) -> None:
    ids = await book.clasps(2, 3)

    await book.past_heartfly(edited(ids[0], clasp=None, actor="user:eve@example.org"))
    assert [(1, ids[0], "is missing")] == book.faults()
    await book.fasten(T0 + 60 * MINUTE)

    assert [(1, ids[0], "is missing")] == book.faults()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (sa.update(audit_clasps).where(audit_clasps.c.number == 2).values(at=T0), [2]),
        (sa.update(audit_clasps).where(audit_clasps.c.number == 2).values(hash=b"x" * 32), [2, 3]),
        (sa.update(audit_clasps).where(audit_clasps.c.number == 2).values(entries=b""), [2, 2, 2]),
        (sa.update(audit_clasps).where(audit_clasps.c.number == 2).values(entries=b"short"), [2, 2, 2]),
    ],
    ids=["time", "hash", "entries", "half"],
)
async def test_a_clasp_that_was_edited_is_named(book: Book, statement: Executable, told: list[int]) -> None:
    """A hash breaks the one behind it, too; entries that a clasp holds no more have been put in."""
    await book.clasps(1, 2, 1)

    await book.past_heartfly(statement)

    faults = book.faults()
    assert told == [clasp for clasp, _, _ in faults]
    assert (2, None, "is not as it was made") == faults[0]


async def test_a_clasp_that_was_removed_is_named_and_what_was_in_it(book: Book) -> None:
    ids = await book.clasps(1, 2, 1, 1, 1)

    await book.past_heartfly(sa.delete(audit_clasps).where(audit_clasps.c.number.in_([2, 3])))

    no_clasp = "names a clasp that there is not"
    gap = [(2, None, "is missing, and all up to 3")]
    assert [*gap, (2, ids[1], no_clasp), (2, ids[2], no_clasp), (3, ids[3], no_clasp)] == book.faults()
    await book.past_heartfly(sa.delete(audit).where(audit.c.clasp.in_([2, 3])))
    assert gap == book.faults()


async def test_an_end_that_was_cut_off_is_seen_by_who_has_noted_it_down(book: Book) -> None:
    """With its entries, so that what is left holds."""
    await book.clasps(1, 2, 1)
    noted = await book.newest()
    assert 0 == book.verified("--noted", noted)[0]
    await book.past_heartfly(
        sa.delete(audit).where(audit.c.clasp == 3), sa.delete(audit_clasps).where(audit_clasps.c.number == 3)
    )

    assert 0 == book.verified()[0]
    code, said = book.verified("--noted", noted)
    assert (1, "clasp 3 was noted, and the chain ends with 2: its end was cut off") == (code, said["noted"])

    await book.entry(after={"name": "forged"})
    await book.fasten()
    assert 0 == book.verified()[0]
    code, text = book.told("--noted", noted)
    assert 1 == code
    assert "Does not hold: clasp 3 is not the one that was noted" in text


@pytest.mark.parametrize("noted", ["", "3", "3:ab", "0:" + "a" * 64, "x:" + "a" * 64, "3:" + "g" * 64])
async def test_what_cannot_have_been_noted_is_refused_by_its_name(book: Book, noted: str) -> None:
    code, said = book.told("--noted", noted)

    assert 2 == code
    assert "--noted" in said
    assert "NUMBER:HASH" in said


async def test_an_older_noted_clasp_is_compared_as_well(book: Book) -> None:
    await book.clasps(1)
    noted = await book.newest()
    await book.clasps(2)

    assert 0 == book.verified("--noted", noted.upper())[0]
    assert 1 == book.verified("--noted", "1:" + "0" * 64)[0]


# --- what comes late ------------------------------------------------------------------------------------


async def test_an_entry_that_commits_behind_younger_ones_goes_into_the_next_clasp(book: Book) -> None:
    late = book.ids.next(T0)
    ids = await book.clasps(2)
    row = (await book.row(ids[0]))._asdict()
    await book.past_heartfly(sa.insert(audit).values(row | {"id": late, "clasp": None}))

    assert 1 == await book.fasten(T0 + 20 * MINUTE)

    assert [] == book.faults()
    assert 2 == (await book.row(late)).clasp


async def test_what_there_was_before_the_chain_comes_in_first_and_what_is_dated_back_later_is_counted(
    book: Book,
) -> None:
    await book.entry(at=T0 - 60 * 24 * 60 * MINUTE)
    await book.fasten()
    assert (1, 0) == (book.verified()[1]["holding"], book.verified()[1]["late"])

    await book.entry(at=T0 - 60 * 24 * 60 * MINUTE)
    await book.fasten(T0 + 10 * MINUTE)

    code, said = book.told()
    assert 0 == code
    assert "1 entry older than a day as they came into the chain" in said


async def test_hundreds_of_entries_fill_several_clasps_and_are_verified_in_batches(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = (await book.row(await book.entry()))._asdict()
    values = [row | {"id": book.ids.next(T0)} for _ in range(450)]
    await book.db.write(lambda tx: tx.conn.execute(sa.insert(audit), values).rowcount)
    assert 451 == await book.fasten()
    assert (5, 451) == (book.verified()[1]["clasps"], book.verified()[1]["holding"])

    monkeypatch.setattr("heartfly.audit.verify.ENTRIES", 250)
    assert (5, 451) == (book.verified()[1]["clasps"], book.verified()[1]["holding"])
    monkeypatch.setattr("heartfly.audit.verify.CLASPS", 1)
    await book.past_heartfly(edited(values[-1]["id"], ip=None))
    assert [(5, values[-1]["id"], "is not what it was")] == book.faults()


async def test_numbers_and_letters_are_spelled_alike_on_both_databases(book: Book) -> None:
    """PostgreSQL's JSON writes numbers its own way. A chain that was moved there holds."""
    odd = {"big": 1e22, "e": 1e5, "small": 1.5e-7, "one": 1.0, "z": [True, None, 0.1], "ä": "ß\x00\u2028😀", "a": {}}
    row = await book.row(await book.entry(after=odd))

    told = ChainKey(b"k" * 32).of_entry(row, pid=1, id=2)

    assert "9a7209adeebc01c32e7f4cdb03f4ce3d3f211293e19c42b4e22ef31f7b7c03f9" == told.hex()
    assert told != ChainKey(b"k" * 32).of_entry(row, pid=1, id=2, after=row.after | {"one": 1.5})


# --- the key --------------------------------------------------------------------------------------------


async def test_without_the_key_the_chain_can_neither_be_shown_nor_begun_anew(book: Book) -> None:
    await book.clasps(1)
    await book.past_heartfly(sa.delete(audit_chain))
    gone = "its key is gone from the database"
    assert (1, True) == (book.told()[0], gone in book.told()[1])

    await book.past_heartfly(sa.delete(audit_clasps))
    assert (1, True) == (book.told()[0], gone in book.told()[1])


async def test_a_key_that_somebody_had_sealed_as_another_secret_is_not_taken_for_the_chains(book: Book) -> None:
    """Who knows what is in a channel's secret could make a chain with it."""
    await book.clasps(1)

    await book.past_heartfly(sa.update(audit_chain).values(key_enc=book.sealer.seal(b"k" * 32)))

    code, said = book.told()
    assert 1 == code
    assert "cannot be opened" in said


async def test_another_key_file_shows_nothing(book: Book) -> None:
    await book.clasps(1)
    write_keys(book.data / "secret.key", [new_key()])
    assert (1, True) == (book.told()[0], "cannot be opened" in book.told()[1])

    (book.data / "secret.key").unlink()
    code, said = book.told()
    assert (1, True) == (code, "there is no secret.key in" in said)
    assert not (book.data / "secret.key").exists()


# --- names that go --------------------------------------------------------------------------------------


async def test_an_entry_that_lost_names_is_redacted_and_the_chain_holds(book: Book) -> None:
    ids = await book.clasps(2, 1)

    await book.forget("check:0", "name")

    code, said = book.told()
    assert 0 == code, said
    assert "As they were: 1 entry, in 2 clasps." in said
    assert "2 entries redacted" in said
    assert {"name": "erased"} == (await book.row(ids[0])).after
    await book.forget("check:0", "name")
    assert 2 == book.verified()[1]["redacted"]


async def test_an_entry_loses_names_twice(book: Book) -> None:
    (entry,) = await book.clasps(1)
    await book.entry(of="limit:1", after={"name": "Ada", "aliases": ["a"]})
    await book.fasten(T0 + 20 * MINUTE)

    await book.forget("limit:1", "name")
    await book.forget("limit:1", "aliases")

    assert (0, 1) == (book.verified()[0], book.verified()[1]["redacted"])
    assert entry


async def test_names_that_went_before_an_entry_came_in_need_no_mark(book: Book) -> None:
    entry = await book.entry(of="customer:1")
    await book.forget("customer:1", "name")
    await book.fasten()

    assert (0, 0, 1) == (book.verified()[0], book.verified()[1]["redacted"], book.verified()[1]["holding"])
    assert (await book.row(entry)).redaction_hash is None


async def test_a_redacted_entry_that_was_edited_afterwards_is_named(book: Book) -> None:
    ids = await book.clasps(2)
    await book.forget("check:0", "name")

    await book.past_heartfly(edited(ids[1], actor="user:eve@example.org"))

    assert [(1, ids[1], "is not what it was")] == book.faults()


async def test_the_mark_of_a_redaction_is_none_for_another_entry_or_other_words(book: Book) -> None:
    ids = await book.clasps(2)
    await book.forget("check:0", "name")
    mark = (await book.row(ids[0])).redaction_hash
    other = (await book.clasps(1))[0]

    await book.past_heartfly(edited(other, redaction_hash=mark, actor="user:eve@example.org"))
    assert [(2, other, "is not what it was")] == book.faults()
    await book.past_heartfly(edited(other, redaction_hash=b"x" * 32, actor=ADA.name))

    # To an entry that says what it said a mark that is none does nothing.
    assert [] == book.faults()
    assert (2, 1) == (book.verified()[1]["redacted"], book.verified()[1]["holding"])


async def test_the_mark_of_a_redaction_is_none_for_a_chain_that_was_made_anew(book: Book) -> None:
    """Who cuts it off has an entry brought in once more as he likes it; the mark was of what it said before."""
    (entry,) = await book.clasps(1)
    await book.forget("check:0", "name")
    redacted = await book.row(entry)
    await book.past_heartfly(sa.delete(audit_clasps), edited(entry, clasp=None, after={"name": "n9"}))
    await book.fasten()

    await book.past_heartfly(edited(entry, after=redacted.after))

    assert redacted.redaction_hash == (await book.row(entry)).redaction_hash
    assert [(1, entry, "is not what it was")] == book.faults()


async def test_an_erasure_does_not_hide_what_was_edited_before_it(book: Book) -> None:
    """Somebody edits an entry of a customer, and has him erased."""
    ids = await book.clasps(2)
    await book.past_heartfly(edited(ids[0], actor="user:eve@example.org"))

    await book.forget("check:0", "name")

    assert {"name": "erased"} == (await book.row(ids[0])).after
    assert [(1, ids[0], "is not what it was")] == book.faults()
    assert 1 == book.verified()[1]["redacted"]


async def test_nor_does_it_where_the_entry_was_taken_out_of_its_clasp_for_that(book: Book) -> None:
    ids = await book.clasps(2)
    await book.past_heartfly(edited(ids[0], actor="user:eve@example.org", clasp=None))
    await book.forget("check:0", "name")
    await book.past_heartfly(edited(ids[0], clasp=1))

    assert [(1, ids[0], "is not what it was")] == book.faults()


async def test_names_go_even_where_the_key_of_the_chain_is_gone(book: Book) -> None:
    ids = await book.clasps(1)
    await book.past_heartfly(sa.delete(audit_chain))

    await book.forget("check:0", "name")

    assert {"name": "erased"} == (await book.row(ids[0])).after


# --- projects that go -----------------------------------------------------------------------------------


async def test_a_project_goes_with_its_entries_and_the_chain_holds(book: Book) -> None:
    pid = (await make_world(book.db, book.ids, T0, slug="other")).project.pid
    await book.entry(pid=pid)
    await book.entry()
    assert 3 == await book.fasten()

    await book.db.write(lambda tx: erase_project.begin(tx, pid, actor=ADA, at=T0, ids=book.ids))
    await erase_project.finish(book.db.write, pid, at=T0, ids=book.ids, sealer=book.sealer)

    code, said = book.verified()
    assert (0, 2, 1, 1) == (code, said["gone"], said["holding"], said["waiting"]), said
    assert "2 entries gone with projects that were deleted" in book.told()[1]


async def test_entries_of_a_project_that_somebody_else_removed_are_named_though_he_says_that_it_was_deleted(
    book: Book,
) -> None:
    ids = await book.clasps(1)
    mark = (await book.row(ids[0])).object.encode()

    await book.past_heartfly(
        sa.delete(audit), sa.insert(audit_gone).values(project=book.pid, at=T0, mark=mark.ljust(32, b"x"))
    )

    assert [(1, ids[0], "is missing")] == book.faults()


async def test_the_mark_of_one_project_is_none_for_another(book: Book) -> None:
    ids = await book.clasps(1)
    pid = (await make_world(book.db, book.ids, T0, slug="other")).project.pid
    await book.fasten(T0 + 10 * MINUTE)
    await book.db.write(lambda tx: erase_project.begin(tx, pid, actor=ADA, at=T0, ids=book.ids))
    await erase_project.finish(book.db.write, pid, at=T0, ids=book.ids, sealer=book.sealer)
    await book.fasten(T0 + 20 * MINUTE)

    await book.past_heartfly(
        sa.update(audit_gone).values(project=book.pid), sa.delete(audit).where(audit.c.id == ids[0])
    )

    assert [1, 2] == [clasp for clasp, _, what in book.faults() if what == "is missing"]


async def test_a_clasp_is_made_by_one_and_a_second_at_the_same_number_finds_it_taken(book: Book, db: Database) -> None:
    await book.clasps(1)
    row = {"number": 1, "at": T0, "entries": b"", "hash": b""}

    with pytest.raises(sa.exc.IntegrityError):
        await db.write(lambda tx: tx.conn.execute(sa.insert(audit_clasps).values(row)).rowcount)


def test_what_is_sealed_for_one_purpose_opens_for_no_other() -> None:
    sealer = Sealer([new_key()])
    sealed = sealer.apart("one").seal(b"x")

    assert b"x" == sealer.apart("one").open(sealed)
    for other in (sealer, sealer.apart("other"), Sealer([new_key()]).apart("one")):
        with pytest.raises(Exception, match=re.escape("cannot be opened")):
            other.open(sealed)
