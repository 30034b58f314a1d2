"""The next list of an organisation: whatever happens to it, no revocation is lost (rule M2)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from support import key_of, refusal

from doitrust.chain.scripts import p2wpkh
from doitrust.chain.signers import Signatures
from doitrust.errors import Refused, Usage
from doitrust.orgs.drafting import (
    REASONS,
    ListDraft,
    check_member_name,
    disagreements,
    refuse_lost,
    withdrawn,
)
from doitrust.orgs.members import FORMAT, Member, MemberList, Withdrawal, empty_list, read_members
from doitrust.orgs.membership import Membership, Standing
from doitrust.orgs.timeline import OrgWrite, Step, Timeline

ORG = "Elektro Müller"
A, B, C, D = (key_of(who) for who in "ABCD")


def made(*entries: Mapping[str, Any] | bytes, **top: Any) -> bytes:
    """A list somebody wrote."""
    members = [{"key": entry.hex()} if isinstance(entry, bytes) else dict(entry) for entry in entries]
    return json.dumps({"format": FORMAT, "members": members, **top}).encode()


def entry(key: bytes, **fields: Any) -> dict[str, Any]:
    return {"key": key.hex(), **fields}


def after(*lists: bytes) -> ListDraft:
    """The draft that follows these lists."""
    return ListDraft(ORG, [read_members(data) for data in lists], lists[-1] if lists else None)


def written(draft: ListDraft, previous: str | None = None) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(draft.write(previous))
    return document


def entries(draft: ListDraft) -> dict[bytes, dict[str, Any]]:
    return {bytes.fromhex(found["key"]): found for found in written(draft)["members"]}


def judged(lists: Sequence[bytes], first: int = 10) -> Membership:
    """The membership along lists that were written at `first`, `first` + 10 and so on."""
    owner = p2wpkh(bytes(20))
    steps = tuple(
        Step(OrgWrite(f"{n:064x}", first + 10 * n, 1, b"", owner, cast("Signatures", None)), owner)
        for n in range(len(lists))
    )
    return Membership.along(Timeline(steps, ()), [read_members(data) for data in lists])


LEFT = {"height": 5, "reason": "left"}


# ---- the form


def test_a_first_list_is_as_the_formats_say() -> None:
    draft = ListDraft(ORG)
    draft.add(A, "Max")
    draft.add(B, None)
    data = draft.write(None)
    document = {
        "format": "doitrust-members/1",
        "members": [entry(A, name="Max"), entry(B)],
        "organization": ORG,
        "previous": None,
        "sequence": 1,
    }
    assert data == rfc8785.dumps(document)
    assert not read_members(data).problems


def test_the_next_number_is_one_more_than_there_are_lists() -> None:
    """What lists say of themselves decides nothing: readers count those in the record."""
    assert written(after(made(A)))["sequence"] == 2
    assert written(after(made(A, sequence=7), made(A, sequence=8)))["sequence"] == 3
    assert written(after(made(A), b"nonsense"))["sequence"] == 3
    found = written(after(made(A)), "bafkqaaa")
    assert (found["previous"], found["organization"]) == ("bafkqaaa", ORG)


def test_fields_that_we_do_not_know_are_kept() -> None:
    last = made(
        entry(A, phone=["+49", 1], licence="L-1", name="Max"),
        entry(B, revoked={**LEFT, "by": "the board"}),
        colour={"deep": [None, True]},
        organization="stale",
    )
    draft = after(last)
    draft.add(C, "Carl")
    document = written(draft)
    assert document["colour"] == {"deep": [None, True]}
    assert document["organization"] == ORG
    assert document["members"] == [
        entry(A, phone=["+49", 1], licence="L-1", name="Max"),
        entry(B, revoked={**LEFT, "by": "the board"}),
        entry(C, name="Carl"),
    ]


def test_a_text_list_becomes_json() -> None:
    text = f"# ours\n{A.hex().upper()}\n\n{B.hex()}\n".encode()
    assert written(after(text))["members"] == [entry(A), entry(B)]


@pytest.mark.parametrize(
    "last", [b"", b"nonsense", b"{}", b"\xff", b'{"format":"other/1","members":[]}', made()]
)
def test_after_a_list_that_is_none_one_begins_anew(last: bytes) -> None:
    draft = after(made(A), last)
    draft.add(B, None)
    assert list(entries(draft)) == [B]


def test_entries_without_a_key_are_left_out_and_capitals_made_small() -> None:
    last = made({"key": "02"}, {"key": 7}, {}, {"key": A.hex().upper(), "name": "Max"})
    assert written(after(last))["members"] == [entry(A, name="Max")]


def test_numbers_without_a_canonical_form_are_refused_in_one_line() -> None:
    assert "canonical" in refusal(after(made(A, big=2**60)).write, None, kind=Refused)
    draft = after(made(A))
    draft.revoke(A, 2**60, "left", voids_revocations=False)
    assert "canonical" in refusal(draft.write, None, kind=Refused)


def test_too_many_members_are_refused() -> None:
    draft = after(made(A, note="x" * (4 * 2**20 - 200)))
    draft.add(B, "y" * 200)
    refusal(draft.write, None, kind=Refused)


# ---- add, remove


def test_adding_and_renaming() -> None:
    draft = after(made(entry(A, name="Max", licence="1")))
    refusal(draft.add, A, None, kind=Refused)
    refusal(draft.add, A, "Max", kind=Refused)
    draft.add(A, "Maximilian")
    draft.add(B, "Bea")
    assert written(draft)["members"] == [entry(A, name="Maximilian", licence="1"), entry(B, name="Bea")]


def test_removing() -> None:
    draft = after(made(A, B))
    draft.remove(A)
    assert list(entries(draft)) == [B]
    assert "not in the list" in refusal(draft.remove, C, kind=Refused)


def test_what_was_withdrawn_is_neither_added_nor_removed() -> None:
    draft = after(made(entry(A, revoked=LEFT)))
    for call in (draft.add, lambda key, _=None: draft.remove(key)):
        assert "was withdrawn" in refusal(call, A, "Max", kind=Refused)
    assert entries(draft)[A]["revoked"] == LEFT


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\u202eMax", "x" * 201, "\ud800"])
def test_names_that_cannot_be_shown(name: str) -> None:
    refusal(check_member_name, name, kind=Usage)


def test_names_as_people_have_them() -> None:
    for name in ("Max Maier", "Łukasz Żółć", "O'Neill", "李"):
        assert check_member_name(name) == name


# ---- withdrawals are carried on


@pytest.mark.parametrize(
    "between",
    [
        [],
        [made(A)],
        [made(entry(A, revoked=None))],
        [made(entry(A, reinstated=False))],
        [made(entry(A, reinstated="true"))],
        [made(B)],
        [made()],
        [b"nonsense"],
        [A.hex().encode()],
        [made(B), b"", made(A)],
    ],
)
def test_a_withdrawn_key_of_any_earlier_list_is_carried_on(between: list[bytes]) -> None:
    draft = after(made(entry(A, revoked=LEFT), B), *between)
    assert entries(draft)[A]["revoked"] == LEFT


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"height": 7, "reason": "left", "voids_revocations": True}, None),
        ({"height": 7}, None),
        ({"height": -1, "reason": 5}, {"height": 0, "reason": 5}),
        ({"height": True}, {"height": 0}),
        ({"height": 2**70}, {"height": 2**53 - 1}),
        ({}, {"height": 0}),
        (True, {"height": 0}),
        (False, {"height": 0}),
        ("yes", {"height": 0}),
        ([], {"height": 0}),
        (0, {"height": 0}),
    ],
)
def test_whatever_its_form_it_withdraws(said: Any, kept: dict[str, Any] | None) -> None:
    assert entries(after(made(entry(A, revoked=said))))[A]["revoked"] == (said if kept is None else kept)
    assert A in entries(after(made(entry(A, revoked=said)), made(B)))


def test_of_a_key_listed_twice_the_revoked_entry_holds() -> None:
    for pair in ([entry(A, name="Max"), entry(A, revoked=LEFT)], [entry(A, revoked=LEFT), entry(A)]):
        found = entries(after(made(*pair)))
        assert found[A]["revoked"] == LEFT
    both = made(entry(A, revoked={"height": 9}), entry(A, revoked={"height": 3, "reason": "error"}))
    assert entries(after(both))[A]["revoked"] == {"height": 3, "reason": "error"}


def test_with_both_revoked_holds() -> None:
    found = entries(after(made(entry(A, revoked=LEFT, reinstated=True))))
    assert found[A]["revoked"] == LEFT


def test_what_was_reinstated_is_not_carried_on() -> None:
    lists = [made(entry(A, revoked=LEFT)), made(entry(A, reinstated=True)), made(B)]
    assert withdrawn([read_members(data) for data in lists]) == {}
    assert list(entries(after(*lists))) == [B]
    again = [*lists, made(entry(A, revoked={"height": 8})), made(B)]
    assert entries(after(*again))[A]["revoked"] == {"height": 8}


# ---- revoke, reinstate


def test_revoking_a_key_that_left_long_ago() -> None:
    draft = after(made(A, B), made(B))
    draft.revoke(A, 3, "key-compromise", voids_revocations=True)
    assert entries(draft)[A] == entry(
        A, revoked={"height": 3, "reason": "key-compromise", "voids_revocations": True}
    )
    assert "never was a member" in refusal(
        lambda: draft.revoke(C, 3, "left", voids_revocations=False), kind=Refused
    )


def test_reinstating_lifts_and_is_said_in_the_list() -> None:
    draft = after(made(entry(A, revoked={"height": 0, "reason": "error"}, name="Max")))
    draft.reinstate(A)
    assert entries(draft)[A] == entry(A, name="Max", reinstated=True)
    draft.revoke(A, 4, "left", voids_revocations=False)
    assert entries(draft)[A] == entry(A, name="Max", revoked={"height": 4, "reason": "left"})


def test_a_compromised_key_is_never_reinstated() -> None:
    stolen = made(entry(A, revoked={"height": 0, "reason": "key-compromise"}))
    relabelled = made(entry(A, revoked={"height": 0, "reason": "error"}))
    for lists in ([stolen], [stolen, made(B)], [stolen, relabelled]):
        assert "never reinstated" in refusal(after(*lists).reinstate, A, kind=Refused)
        read = [read_members(data) for data in lists]
        lifted = read_members(made(entry(A, reinstated=True)))
        assert "never reinstated" in refusal(refuse_lost, read, lifted, kind=Refused)


def test_only_what_is_withdrawn_is_reinstated() -> None:
    draft = after(made(A))
    assert "not withdrawn" in refusal(draft.reinstate, A, kind=Refused)
    assert "not in the list" in refusal(draft.reinstate, B, kind=Refused)


# ---- what a list made elsewhere must not lose


@pytest.mark.parametrize(
    ("following", "lost"),
    [
        (made(A), True),
        (made(B), True),
        (made(), True),
        (b"nonsense", True),
        (A.hex().encode(), True),
        (made(entry(A, revoked=None)), True),
        (made(entry(A, reinstated=1)), True),
        (made(entry(B, revoked=LEFT)), True),
        (made(entry(A, revoked=LEFT)), False),
        (made(entry(A, revoked=False)), False),
        (made(entry(A, reinstated=True)), False),
    ],
)
def test_a_list_that_lost_a_revoked_entry_is_refused(following: bytes, lost: bool) -> None:
    lists = [read_members(made(entry(A, revoked=LEFT))), read_members(made(B))]
    if lost:
        with pytest.raises(Refused, match=A.hex()) as caught:
            refuse_lost(lists, read_members(following))
        assert caught.value.code == "lost_revocation"
    else:
        refuse_lost(lists, read_members(following))


def test_how_many_were_lost_is_told() -> None:
    lists = [read_members(made(*(entry(key, revoked=LEFT) for key in (A, B, C))))]
    assert "and of 2 more" in refusal(refuse_lost, lists, empty_list(""), kind=Refused)


def test_disagreements_show_a_stale_draft() -> None:
    fine = MemberList({}, ORG, 3, "bafy-last")
    assert disagreements(fine, ORG, "bafy-last", 3) == []
    assert disagreements(MemberList({}), ORG, "bafy-last", 3) == []
    assert len(disagreements(MemberList({}, "Other", 2, "bafy-old"), ORG, "bafy-last", 3)) == 3
    assert len(disagreements(MemberList({}, previous="x"), ORG, None, 1)) == 1


# ---- whatever happens


class Act(NamedTuple):
    """What an admin does next."""

    what: str
    key: bytes
    height: int
    reason: str


_acts = st.builds(
    Act,
    st.sampled_from(["add", "remove", "revoke", "reinstate", "renew", "by hand", "text", "nonsense"]),
    st.sampled_from([A, B, C, D]),
    st.integers(0, 60),
    st.sampled_from(REASONS),
)


def follow_up(lists: list[bytes], act: Act) -> bytes | None:
    """The list that `act` leads to; None if it is refused."""
    read = [read_members(data) for data in lists]
    draft = ListDraft(ORG, read, lists[-1])
    try:
        match act.what:
            case "add":
                draft.add(act.key, None)
            case "remove":
                draft.remove(act.key)
            case "revoke":
                draft.revoke(act.key, act.height, act.reason, voids_revocations=bool(act.height % 2))
            case "reinstate":
                draft.reinstate(act.key)
            case "by hand" | "text":
                data = made(act.key) if act.what == "by hand" else act.key.hex().encode()
                refuse_lost(read, read_members(data))
                return data
            case "nonsense":
                return act.reason.encode()  # somebody else's tool: an empty list
        return draft.write(None)
    except Refused:
        return None


def hold(lists: list[bytes], gone: Mapping[bytes, int]) -> None:
    """The rules that everybody judges by: who is withdrawn is no member from that height on."""
    membership = judged(lists)
    for key, height in gone.items():
        for at in {
            height,
            height + 1,
            *(later for later in (10, 10 * len(lists), 10_000) if later >= height),
        }:
            assert membership.certifier(key, at) is not Standing.MEMBER, (key.hex(), at)


def carried_on(lists: list[bytes], gone: Mapping[bytes, int]) -> None:
    """The last list alone says so too."""
    last = read_members(lists[-1])
    for key in gone:
        assert last.marked[key].withdrawal is not None
    refuse_lost([read_members(data) for data in lists[:-1]], last)


@given(st.lists(_acts, max_size=25))
def test_no_history_loses_a_revocation(acts: list[Act]) -> None:
    lists = [made(A, B, C)]
    gone: dict[bytes, int] = {}  # withdrawn keys and the lowest height they were withdrawn from
    stolen: set[bytes] = set()
    for act in acts:
        following = follow_up(lists, act)
        if following is None:
            continue
        lists.append(following)
        if act.what == "revoke":
            gone[act.key] = min(act.height, gone.get(act.key, act.height))
            stolen |= {act.key} if act.reason == "key-compromise" else set()
        elif act.what == "reinstate":
            assert act.key not in stolen
            del gone[act.key]
        hold(lists, gone)
        if act.what != "nonsense":
            carried_on(lists, gone)
        assert set(withdrawn([read_members(data) for data in lists])) == set(gone)
    for key in (A, B, C):
        at = 10 * len(lists)
        if key not in gone and key in read_members(lists[-1]).members:
            assert judged(lists).certifier(key, at) is Standing.MEMBER


def test_the_property_sees_a_lost_revocation() -> None:
    """What it would see if a draft forgot one."""
    lists = [made(A), made(entry(A, revoked={"height": 0})), made(A)]
    assert judged(lists).certifier(A, 30) is Standing.REVOKED  # M2 holds for readers who have every list
    assert read_members(lists[-1]).marked == {}
    withdrawal = Withdrawal(0, None, False)
    assert withdrawn([read_members(data) for data in lists]) == {A: Member(A, withdrawal=withdrawal)}
