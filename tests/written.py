"""The formats that a suite runs in: what the plugin is told, and all that is expected otherwise than of RFC 3923.

Suites take one of `FORMATS` as their parameter `written`. What differs between formats stands here, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from slixmpp_e2e.leaving import Format
from slixmpp_e2e.namespaces import E2E, OBJENC
from slixmpp_e2e.outer import E2E_TAG, OBJENC_TAG
from slixmpp_e2e.policy import Level
from slixmpp_e2e.report import SecurityReport

_NAMESPACES: Final[Mapping[Format, str]] = {"rfc3923": E2E, "objenc": OBJENC}


@dataclass(frozen=True, slots=True)
class Written:
    """A format, and what becomes of stanzas in it."""

    name: str
    #: What the option `format` says, and every report.
    format: Format = "rfc3923"
    #: The kinds of stanzas that nobody signs; requests always are: nobody delivers them unsigned (ERRATA E29).
    unsigned: frozenset[str] = frozenset()
    #: Whether who is believed is told of a bad timestamp; else it fails like anything that can't be decrypted.
    tells_time: bool = True
    #: Why something is refused, where that is called otherwise than with RFC 3923.
    reasons: Mapping[str, str] = field(default_factory=dict)
    #: What the algorithms are by default.
    transport: str = "rsa-pkcs1"
    #: Octets of an exchange that is cut (`tests.server.cuts`), in each direction, at the least.
    exchange: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def options(self) -> dict[str, Any]:
        """What the plugin is told: to write so to everybody, and to take nothing else for protected."""
        return {"format": self.format, "policy": self.policy()}

    def policy(self, **more: str) -> dict[str, dict[str, str]]:
        """Return a policy that demands it for all kinds of stanzas, but for what `more` says."""
        kinds = ("message", "presence", "iq")
        return {"*": {**{kind: str(self.level(kind)) for kind in kinds}, **more}}

    def level(self, kind: str) -> Level:
        """Return the level of a kind of stanza."""
        return Level.ENCRYPT_UNSIGNED if kind in self.unsigned else Level.REQUIRED

    def signs(self, kind: str) -> bool:
        """Tell whether somebody signs a kind of stanza."""
        return kind not in self.unsigned

    def is_right(self, report: SecurityReport | None, kind: str, signer: str) -> bool:
        """Tell whether a report says of a stanza that came encrypted all that could be proven, and no more."""
        signs = self.signs(kind)
        return (
            report is not None
            and report.format == self.format
            and report.encrypted
            and report.signed is report.authenticated is signs
            and report.signer == (signer if signs else None)
        )

    def reason(self, of_rfc3923: str) -> str:
        """Return why something is refused, by why it would be with RFC 3923."""
        return self.reasons.get(of_rfc3923, of_rfc3923)

    def is_told(self, kind: str) -> bool:
        """Tell whether the sender hears that a stanza was refused: not where it may be unsigned (ERRATA E29)."""
        return self.signs(kind)

    @property
    def namespace(self) -> str:
        """The namespace of its `<e2e/>`."""
        return _NAMESPACES[self.format]

    @property
    def tag(self) -> str:
        """Its `<e2e/>`."""
        return E2E_TAG if self.format == "rfc3923" else OBJENC_TAG

    def encrypted_part(self, stanza: Any) -> Any:
        """Return the element of an outer stanza whose text is what was encrypted."""
        element = stanza.find(self.tag)
        return element if self.format == "rfc3923" else element[1]


#: A signature inside, as the draft has it around: all that is wrong has one answer.
_OBJENC: Final[dict[str, Any]] = {
    "format": "objenc",
    "tells_time": False,
    "reasons": {"invalid": "decryption-failed", "not-for-us": "decryption-failed"},
    "transport": "rsa-oaep-sha256",
}

RFC3923: Final = Written("rfc3923", exchange={"from_clients": 9_500, "to_clients": 7_000})
SIGNED_INSIDE: Final = Written(
    "objenc-signed", exchange={"from_clients": 15_000, "to_clients": 11_000}, **_OBJENC
)
BARE_OBJENC: Final = Written(
    "objenc",
    unsigned=frozenset({"message", "presence"}),
    exchange={"from_clients": 7_500, "to_clients": 6_300},
    **_OBJENC,
)

FORMATS: Final = (RFC3923, SIGNED_INSIDE, BARE_OBJENC)
IN_EVERY_FORMAT: Final = pytest.mark.parametrize("written", FORMATS, ids=str)
