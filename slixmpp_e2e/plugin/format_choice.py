"""Which format a peer is written to in: RFC 3923, or draft-miller-3923bis-02 around it.

The choice is never one between signed and unsigned: that is the policy's. Where the draft is chosen and a signature
is due, the object of RFC 3923 that bears it stands inside (`formats.objenc_signed`). So whoever has a say in it, and
servers do, can change how something is encrypted, and nothing else.

That somebody used the draft is not proven by what he signed: no signature is over an envelope, and any server can put
into one of the draft what was only signed. So it counts as long as he announces that he reads it. That he signed for
RFC 3923 needs no more.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from slixmpp import JID

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.leaving import FORMATS, Format
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.policy import look_up, read_key
from slixmpp_e2e.tables import SharedTable

#: Seconds that something counts that was used, and for how many JIDs.
_LASTS: Final = 86_400
_JIDS: Final = 4096
_CHOICES: Final = (*FORMATS, "auto")
_Choice = Format | Literal["auto"]


@dataclass(slots=True)
class FormatChoice:
    """Chooses by what the option `format` says, and with `auto` by what is known of the peer."""

    #: By keys as those of a policy.
    choices: Mapping[str, _Choice]
    #: Returns what a JID says that it reads, nothing where that is not known; may raise `NotYet`
    #: (`AnnouncedFormats.of`).
    announced: Callable[[JID], frozenset[Format]] = field(default=lambda _jid: frozenset())
    #: Tells whether the draft can be written to a JID at all (`Protection.can_write_objenc`); may raise `NotYet`.
    can_write_objenc: Callable[[JID], bool] = field(default=lambda _jid: True)
    now: Callable[[], float] = time.monotonic
    #: What full JIDs wrote to us in last, and bare ones; and which full JID it was.
    _used: SharedTable[str, tuple[Format, JID]] = field(init=False)

    def __post_init__(self) -> None:
        self._used = SharedTable(_LASTS, _JIDS, self.now)

    def __len__(self) -> int:
        return len(self._used)

    def of(self, jid: JID) -> Format:
        """Return which format a JID is written to in; with `auto`, raise `NotYet` if that has to be found out first.

        What the JID used last counts for most, then what it announces, then what another client of the same account
        used last; that it was the draft only if that client announces it. Where nothing is known, where both are
        read, and where the draft can't be written, it is RFC 3923.
        """
        choice = look_up(self.choices, bare(jid), frozenset()) or "rfc3923"
        if choice != "auto":
            return choice
        wanted = self._used_by(jid.full)
        if wanted is None:
            announced = self.announced(jid)
            wanted = _preferred(announced) if announced else self._used_by(bare(jid))
        return "objenc" if wanted == "objenc" and self.can_write_objenc(jid) else "rfc3923"

    def heard(self, jid: JID, written_as: str) -> None:
        """Take note of what came from somebody who was proven; it may be a server that made the envelope."""
        used = cast("Format", written_as)
        account = bare(jid)
        for name in {jid.full, account}:
            self._used.put(name, (used, jid), account)

    def _used_by(self, name: str) -> Format | None:
        """Return what a JID used last, if that counts; raise `NotYet`.

        What does not count is forgotten, so that nobody is asked about it again.
        """
        used, client = self._used.get(name) or (None, None)
        if used == "objenc" and client is not None and used not in self.announced(client):
            self._used.pop(name)
            return None
        return used


def _preferred(formats: frozenset[Format]) -> Format:
    """Return RFC 3923 unless only the draft is read: that has one recipient, and is longer if it is signed."""
    return next(each for each in FORMATS if each in formats)


def read_choices(option: Any) -> dict[str, _Choice]:
    """Return the choices of the option `format`; raise `ConfigurationError`."""
    entries = option if isinstance(option, Mapping) else {"*": option}
    for value in entries.values():
        if value not in _CHOICES:
            raise ConfigurationError(f"format: {value!r} is not one of {', '.join(_CHOICES)}")
    return {read_key(key, "format"): value for key, value in entries.items()}


def read_formats(option: Any) -> frozenset[str]:
    """Return which formats are read, by the option `formats`; raise `ConfigurationError`."""
    found = {option} if isinstance(option, str) else set(option)
    if not found <= set(FORMATS):
        raise ConfigurationError(f"formats: {option!r} is no list of {', '.join(FORMATS)}")
    return frozenset(found)
