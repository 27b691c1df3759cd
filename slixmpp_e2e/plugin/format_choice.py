"""Which format a peer is written to in: RFC 3923, or draft-miller-3923bis-02 around it.

The choice is never one between signed and unsigned: that is the policy's. Where the draft is chosen and a signature
is due, the object of RFC 3923 that bears it stands inside (`formats.objenc_signed`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from slixmpp import JID

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.leaving import FORMATS, Format
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.policy import look_up, read_key
from slixmpp_e2e.tables import Recent

_JIDS: Final = 4096
_CHOICES: Final = (*FORMATS, "auto")
_Choice = Format | Literal["auto"]


@dataclass(slots=True)
class FormatChoice:
    """Chooses by what the option `format` says, and with `auto` by what the peer used last."""

    #: By keys as those of a policy.
    choices: Mapping[str, _Choice]
    #: What full JIDs wrote to us in last, and bare ones.
    _used: Recent[str, Format] = field(default_factory=lambda: Recent(_JIDS))

    def __len__(self) -> int:
        return len(self._used)

    def of(self, jid: JID) -> Format:
        """Return which format a JID is written to in."""
        choice = look_up(self.choices, bare(jid), frozenset()) or "rfc3923"
        if choice != "auto":
            return choice
        return self._used.get(jid.full) or self._used.get(bare(jid)) or "rfc3923"

    def heard(self, jid: JID, written_as: str) -> None:
        """Take note of what somebody used who was proven."""
        used = cast("Format", written_as)
        for name in {jid.full, bare(jid)}:
            self._used.put(name, used)


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
