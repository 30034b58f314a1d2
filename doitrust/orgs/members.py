"""Member lists: the wire format `doitrust-members/1`, and plain text (formats.md «Member list», rule O5).

A list that was had and is invalid is an *empty* list, never an error: `read_members` says why in `problems`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from doitrust.chain.keys import is_compressed_key
from doitrust.errors import BadData
from doitrust.strictjson import read_object
from doitrust.text import visible

FORMAT = "doitrust-members/1"
MAX_LIST_BYTES = 4 * 1024 * 1024
MAX_MEMBERS = 20_000
#: Problems worth telling one by one.
_MAX_PROBLEMS = 20
_KEY = re.compile(r"[0-9a-fA-F]{66}")
_JSON_SPACE = b" \t\n\r"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A `revoked` entry: the key is withdrawn from `height` on (rule M2)."""

    height: int
    reason: str | None
    voids_revocations: bool


@dataclass(frozen=True, slots=True)
class Member:
    """One entry: a 33-byte key, optional personal data, and what the entry says of the key's standing."""

    key: bytes
    name: str | None = None
    licence: str | None = None
    withdrawal: Withdrawal | None = None
    reinstated: bool = False


@dataclass(frozen=True, slots=True)
class MemberList:
    """A list as read: members by key, what it says of itself, and what was wrong with it."""

    members: Mapping[bytes, Member]
    organization: str | None = None
    sequence: int | None = None
    previous: str | None = None
    problems: tuple[str, ...] = ()
    #: The members that say something of withdrawal, so that rule M2 need not look at the others.
    marked: Mapping[bytes, Member] = field(init=False)

    def __post_init__(self) -> None:
        marked = {k: m for k, m in self.members.items() if m.withdrawal is not None or m.reinstated}
        object.__setattr__(self, "marked", marked)


def empty_list(problem: str) -> MemberList:
    """Return the list without members that an unusable one stands for."""
    return MemberList({}, problems=(problem,))


def read_members(data: bytes) -> MemberList:
    """Read a member list's bytes. Never raises: an invalid list is empty and says why."""
    if len(data) > MAX_LIST_BYTES:
        return empty_list(f"the list has more than {MAX_LIST_BYTES} bytes")
    try:
        if data.lstrip(_JSON_SPACE)[:1] == b"{":
            return _read_json(data)
        return _read_text(data)
    except BadData as error:
        return empty_list(error.message)


def _read_json(data: bytes) -> MemberList:
    document = read_object(data, what="the list")
    if document.get("format") != FORMAT:
        raise BadData(f"the list's format is not {FORMAT}")
    entries = document.get("members")
    if not isinstance(entries, list):
        raise BadData("the list's members are no array")
    if len(entries) > MAX_MEMBERS:
        raise BadData(f"the list has more than {MAX_MEMBERS} members")
    problems: list[str] = []
    members: dict[bytes, Member] = {}
    for number, entry in enumerate(entries, 1):
        member = _read_entry(entry)
        if member is None:
            problems.append(f"entry {number} has no valid key")
            continue
        if member.key in members:
            problems.append(f"entry {number} lists a key again")
            member = _merge(members[member.key], member)
        members[member.key] = member
    organization, sequence, previous = (document.get(k) for k in ("organization", "sequence", "previous"))
    return MemberList(
        members,
        organization if isinstance(organization, str) else None,
        sequence if isinstance(sequence, int) and not isinstance(sequence, bool) else None,
        previous if isinstance(previous, str) else None,
        _bounded(problems),
    )


def _read_text(data: bytes) -> MemberList:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadData("the list is not UTF-8") from None
    members: dict[bytes, Member] = {}
    problems: list[str] = []
    count = 0
    # Only \n ends a line: any other separator could hide a key in what one reader takes for a comment.
    lines = text.split("\n")
    for number, raw in enumerate(lines, 1):
        line = raw.removesuffix("\r") if number < len(lines) else raw
        if not line or line.startswith("#"):
            continue
        if not _KEY.fullmatch(line):
            raise BadData(f"line {number} of the list is neither a key nor a comment")
        count += 1
        key = bytes.fromhex(line)
        if not is_compressed_key(key):
            problems.append(f"line {number} is no compressed public key")
            continue
        members[key] = Member(key)
    if count > MAX_MEMBERS:
        raise BadData(f"the list has more than {MAX_MEMBERS} members")
    return MemberList(members, problems=_bounded(problems))


def _read_entry(entry: Any) -> Member | None:
    if not isinstance(entry, dict):
        return None
    text = entry.get("key")
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        return None
    key = bytes.fromhex(text)
    if not is_compressed_key(key):
        return None
    name, licence, revoked = entry.get("name"), entry.get("licence"), entry.get("revoked")
    return Member(
        key,
        name if isinstance(name, str) else None,
        licence if isinstance(licence, str) else None,
        None if revoked is None else _read_withdrawal(revoked),
        # With both, `revoked` holds (rule M2).
        revoked is None and entry.get("reinstated") is True,
    )


def _read_withdrawal(revoked: Any) -> Withdrawal:
    """Read a `revoked` that is there: it withdraws whatever its form, from 0 where its height is no height."""
    fields = revoked if isinstance(revoked, dict) else {}
    height, reason = fields.get("height"), fields.get("reason")
    if not isinstance(height, int) or isinstance(height, bool) or height < 0:
        height = 0
    return Withdrawal(
        height,
        reason if isinstance(reason, str) else None,
        fields.get("voids_revocations") is True,
    )


def _merge(first: Member, second: Member) -> Member:
    """Of a key listed twice a `revoked` entry holds; of two, the earlier height and the stronger word."""
    one, two = first.withdrawal, second.withdrawal
    if one is not None and two is not None:
        voids = one.voids_revocations or two.voids_revocations
        withdrawal = Withdrawal(min(one.height, two.height), one.reason or two.reason, voids)
        return Member(first.key, first.name, first.licence, withdrawal)
    if one is not None:
        return first
    if two is not None:
        return second
    return Member(first.key, first.name, first.licence, None, first.reinstated or second.reinstated)


def _bounded(problems: list[str]) -> tuple[str, ...]:
    shown = [visible(problem) for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        shown.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return tuple(shown)
