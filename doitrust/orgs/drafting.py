"""Making the next member list (formats.md «Member list»), and what a next list must not lose (rule M2)."""

from collections.abc import Sequence
from typing import Any

import rfc8785

from doitrust.errors import BadData, Refused, Usage
from doitrust.orgs.members import FORMAT, MAX_LIST_BYTES, MAX_MEMBERS, Member, MemberList, read_members
from doitrust.strictjson import read_object
from doitrust.text import visible

#: Why a key is withdrawn (formats.md).
COMPROMISED = "key-compromise"
REASONS = (COMPROMISED, "left", "licence-withdrawn", "error")
_MAX_NAME = 200
#: The largest number that canonical JSON has a form for (RFC 8785, I-JSON): no chain gets there.
_MAX_HEIGHT = 2**53 - 1

Fields = dict[str, Any]


def withdrawn(lists: Sequence[MemberList]) -> dict[bytes, Member]:
    """The keys that a timeline's lists withdraw, and that none of them reinstated after (rule M2)."""
    found: dict[bytes, Member] = {}
    for members in lists:
        for key, member in members.marked.items():
            if member.withdrawal is not None:
                found[key] = member
            else:
                found.pop(key, None)
    return found


def compromised(lists: Sequence[MemberList]) -> set[bytes]:
    """The withdrawn keys of which one of the lists said, since it was last reinstated, that they are compromised."""
    found: set[bytes] = set()
    for members in lists:
        for key, member in members.marked.items():
            if member.withdrawal is None:
                found.discard(key)
            elif member.withdrawal.reason == COMPROMISED:
                found.add(key)
    return found


def refuse_lost(lists: Sequence[MemberList], following: MemberList) -> None:
    """Raise `Refused` if `following` has lost a `revoked` entry of those before it, or lifts one that is for ever."""
    marked = following.marked
    for key in compromised(lists):
        if key in marked and marked[key].withdrawal is None:
            raise _never_again(key)
    lost = [key.hex() for key in withdrawn(lists) if key not in marked]
    if lost:
        raise Refused(
            f"the list has lost the revoked entry of {lost[0]}"
            + (f" and of {len(lost) - 1} more" if len(lost) > 1 else ""),
            hint="withdrawn keys stay in the list; only org reinstate-member lifts it",
            code="lost_revocation",
        )


class ListDraft:
    """The next list of an organisation, to be changed and then written.

    `lists` are those of its timeline so far, `last` the bytes of the last one (None for a first list). Fields that
    we don't know are kept.
    """

    def __init__(self, name: str, lists: Sequence[MemberList] = (), last: bytes | None = None) -> None:
        self._name = name
        self._lists = lists
        self._top: Fields = {}
        self._members: dict[str, Fields] = {}
        if last is not None:
            self._take(last)
        for key, member in withdrawn(lists).items():
            if self._members.get(key.hex(), {}).get("revoked") is None:
                self._members.setdefault(key.hex(), {"key": key.hex()})["revoked"] = _revoked(member)

    def _take(self, last: bytes) -> None:
        """Begin with the entries of the last list; one that was invalid was empty."""
        try:
            self._top = read_object(last, what="the list")
        except BadData:
            self._top = {}
        known = read_members(last).members
        entries = self._top.get("members", [])
        for entry in entries if isinstance(entries, list) else []:
            key = entry.get("key") if isinstance(entry, dict) else None
            if isinstance(key, str) and key.lower() in {k.hex() for k in known}:
                self._members.setdefault(key.lower(), {**entry, "key": key.lower()})
        for key, member in known.items():
            fields = self._members.setdefault(key.hex(), {"key": key.hex()})
            if member.withdrawal is not None:
                said = fields.get("revoked")
                fields["revoked"] = {**(said if isinstance(said, dict) else {}), **_revoked(member)}

    def add(self, key: bytes, name: str | None) -> None:
        """Add a member; raises `Refused` for a key that is there or was withdrawn."""
        fields = self._members.get(key.hex())
        if fields is not None:
            if fields.get("revoked") is not None:
                raise Refused(
                    f"{key.hex()} was withdrawn",
                    hint="a withdrawn key stays withdrawn; if that was an error: org reinstate-member",
                )
            if name is None or fields.get("name") == name:
                raise Refused(f"{key.hex()} is a member already")
        entry = {**(fields or {}), "key": key.hex()}
        if name is not None:
            entry["name"] = name
        self._members[key.hex()] = entry

    def remove(self, key: bytes) -> None:
        """Leave a member out from now on; what it certified before stays."""
        fields = self._there(key)
        if fields.get("revoked") is not None:
            raise Refused(f"{key.hex()} was withdrawn: its entry has to stay in the list")
        del self._members[key.hex()]

    def revoke(self, key: bytes, height: int, reason: str, *, voids_revocations: bool) -> None:
        """Withdraw a key from `height` on, whether or not it is in the last list."""
        if not any(key in found.members for found in self._lists):
            raise Refused(f"{key.hex()} never was a member")
        fields = self._members.setdefault(key.hex(), {"key": key.hex()})
        revoked: Fields = {"height": height, "reason": reason}
        if voids_revocations:
            revoked["voids_revocations"] = True
        fields.pop("reinstated", None)
        fields["revoked"] = revoked

    def reinstate(self, key: bytes) -> None:
        """Lift a withdrawal that was an error."""
        fields = self._there(key)
        if fields.get("revoked") is None:
            raise Refused(f"{key.hex()} is not withdrawn")
        if key in compromised(self._lists) or fields["revoked"].get("reason") == COMPROMISED:
            raise _never_again(key)
        del fields["revoked"]
        fields["reinstated"] = True

    def write(self, previous: str | None) -> bytes:
        """Return the list's bytes; `previous` is the CID of the one before it. Raises `Refused` for one too large."""
        document = {
            **self._top,
            "format": FORMAT,
            "organization": self._name,
            "sequence": len(self._lists) + 1,
            "previous": previous,
            "members": list(self._members.values()),
        }
        try:
            data = rfc8785.dumps(document)
        except rfc8785.CanonicalizationError:
            raise Refused("the list holds a number that canonical JSON has no form for") from None
        found = read_members(data)
        if len(data) > MAX_LIST_BYTES or len(self._members) > MAX_MEMBERS or found.problems:
            raise Refused("; ".join(found.problems) or "the list is too large")
        refuse_lost(self._lists, found)
        return data

    def _there(self, key: bytes) -> Fields:
        fields = self._members.get(key.hex())
        if fields is None:
            raise Refused(f"{key.hex()} is not in the list")
        return fields


def check_member_name(name: str) -> str:
    """Return a member's name as typed; raises `Usage` for one that can't be shown."""
    if not name.strip() or len(name) > _MAX_NAME or visible(name, _MAX_NAME) != name:
        raise Usage(f"{visible(name, 60)!r} is no member's name")
    return name


def disagreements(found: MemberList, name: str, previous: str | None, sequence: int) -> list[str]:
    """What a list says of itself and the chain says otherwise: a stale draft shows itself so (formats.md)."""
    said = []
    if found.organization not in (None, name):
        said.append(f"it calls itself the list of {visible(found.organization or '')}")
    if found.previous is not None and found.previous != previous:
        said.append(
            f"it was made to follow the list {visible(found.previous, 80)}, the last one is {previous}"
        )
    if found.sequence is not None and found.sequence != sequence:
        said.append(f"its sequence is {found.sequence}, the next one is {sequence}")
    return said


def _never_again(key: bytes) -> Refused:
    return Refused(
        f"{key.hex()} was withdrawn as compromised: such a key is never reinstated",
        hint="let the member make a new key",
    )


def _revoked(member: Member) -> Fields:
    withdrawal = member.withdrawal
    if withdrawal is None:
        raise ValueError("not withdrawn")
    fields: Fields = {"height": min(withdrawal.height, _MAX_HEIGHT)}
    if withdrawal.reason is not None:
        fields["reason"] = withdrawal.reason
    if withdrawal.voids_revocations:
        fields["voids_revocations"] = True
    return fields
