"""What must be done for a peer and a kind of stanza, and what may be accepted from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from slixmpp.jid import JID

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.stanza import KINDS, Kind

_INBOUND: Final = "inbound"
#: `jid:example.net` is the domain itself (a server, a component); `example.net` are its users.
_EXACTLY: Final = "jid:"


Entry = TypeVar("Entry")


class Level(StrEnum):
    """What is done to a stanza that leaves."""

    #: Nothing.
    OFF = "off"
    #: Signed and encrypted when the peer's certificate is known and usable, else nothing.
    OPPORTUNISTIC = "opportunistic"
    #: Signed; readable for everybody.
    SIGN = "sign"
    #: Signed and encrypted, or not sent.
    REQUIRED = "required"
    #: Encrypted, but not signed, or not sent: the peer can't know who it is from.
    ENCRYPT_UNSIGNED = "encrypt-unsigned"


#: What is asked for one stanza may be more than the policy, not less.
RANK: Final[Mapping[Level, int]] = {
    Level.OFF: 0,
    Level.OPPORTUNISTIC: 1,
    Level.SIGN: 2,
    Level.ENCRYPT_UNSIGNED: 3,
    Level.REQUIRED: 3,
}
_REQUIRING: Final = frozenset({Level.SIGN, Level.REQUIRED})


@dataclass(frozen=True, slots=True)
class _Entry:
    levels: Mapping[str, Level]
    inbound: Level | None


@dataclass(frozen=True, slots=True)
class Policy:
    """Levels by bare JID, by domain, and by default.

    The default and a domain's entry mean other people's JIDs: our own account, our own server, and domains
    as such need an entry of their own.
    """

    _entries: Mapping[str, _Entry]
    #: Our own bare JIDs.
    own: frozenset[str] = field(default_factory=frozenset)

    def _entry(self, jid: str) -> _Entry | None:
        return look_up(self._entries, jid, self.own)

    def level(self, jid: JID, kind: Kind) -> Level:
        """Return what must be done to a stanza for a JID."""
        entry = self._entry(bare(jid))
        return entry.levels[kind] if entry else Level.OFF

    def has_own_entry(self, jid: JID) -> bool:
        """Tell whether somebody wrote down exactly this bare JID (for rooms: ARCHITECTURE invariant 6)."""
        return _EXACTLY + bare(jid) in self._entries

    def must_be_protected(self, jid: JID, kind: Kind) -> bool:
        """Tell whether a stanza that came unprotected from a JID must not be delivered."""
        entry = self._entry(bare(jid))
        if entry is None:
            return False
        return (entry.inbound or entry.levels[kind]) in _REQUIRING

    def takes_unsigned(self, jid: JID, kind: Kind) -> bool:
        """Tell whether encrypted content that nobody signed is delivered from a JID.

        Never in an iq: its answer would tell anybody whether something decrypted (ERRATA E29).
        """
        entry = self._entry(bare(jid))
        if entry is None or kind == "iq":
            return False
        return (entry.inbound or entry.levels[kind]) is Level.ENCRYPT_UNSIGNED


def look_up(entries: Mapping[str, Entry], jid: str, own: frozenset[str]) -> Entry | None:
    """Return what counts for a bare JID: its own entry, that of its domain, or the default; see `Policy`."""
    exact = entries.get(_EXACTLY + jid)
    local, at, domain = jid.rpartition("@")
    if exact is not None or not (local and at) or jid in own:
        return exact
    return entries.get(domain) or entries.get("*")


def read_policy(entries: Mapping[str, str | Mapping[str, str]], own: frozenset[str] = frozenset()) -> Policy:
    """Return the policy of a configuration; raise `ConfigurationError`.

    Keys, strings or JIDs, are `*`, a domain (its users), a bare JID, or `jid:` with a domain (the domain
    itself). Values are a level, or levels by kind of stanza with `inbound` for what may be accepted:
    `{"message": "required", "iq": "off", "inbound": "opportunistic"}`; kinds left out are `off`.
    """
    found: dict[str, _Entry] = {}
    for key, value in entries.items():
        found[read_key(key, "policy")] = _read_entry(key, value)
    return Policy(found, own)


def read_key(key: object, option: str) -> str:
    """Return the key of an entry as `look_up` wants it; raise `ConfigurationError`."""
    if not isinstance(key, (str, JID)):
        raise ConfigurationError(f"{option}: {key!r} is no JID, domain or *")
    key = str(key)
    if key == "*":
        return key
    exactly = key.startswith(_EXACTLY)
    try:
        jid = JID(key.removeprefix(_EXACTLY))
        normalised = bare(jid)
    except ValueError:
        raise ConfigurationError(f"{option}: {key!r} is no JID, domain or *") from None
    if jid.resource:
        raise ConfigurationError(f"{option}: {key!r} has a resource; entries are for bare JIDs")
    return _EXACTLY + normalised if exactly or jid.local else normalised


def _read_entry(key: str, value: str | Mapping[str, str]) -> _Entry:
    if not isinstance(value, (str, Mapping)):
        raise ConfigurationError(f"policy for {key}: {value!r} is no level; levels are {', '.join(Level)}")
    given = dict.fromkeys(KINDS, value) if isinstance(value, str) else dict(value)
    unknown = given.keys() - KINDS - {_INBOUND}
    if unknown:
        raise ConfigurationError(f"policy for {key}: {', '.join(sorted(unknown))} is no kind of stanza")
    try:
        levels = {kind: Level(given.get(kind, Level.OFF)) for kind in KINDS}
        inbound = Level(given[_INBOUND]) if _INBOUND in given else None
    except ValueError as error:
        raise ConfigurationError(f"policy for {key}: {error}; levels are {', '.join(Level)}") from None
    return _Entry(levels, inbound)
