"""What a signer announced of his software and his certificates, and how it is kept (RFC 8551 2.5.2, 2.5.3, 2.7.1).

    Announcement ::= SEQUENCE {
      timestamp    INTEGER,                 -- nanoseconds since 1970, of the stanza that said it
      ciphers      SET OF OBJECT IDENTIFIER,
      oaep         INTEGER (0..1),
      signer       OCTET STRING,
      preference   OCTET STRING OPTIONAL }

In DER, and only so: what was written otherwise, or by a later version that knows more, is as if it had never
been said. It will be said again.
"""

from dataclasses import dataclass, replace
from typing import Final

from slixmpp_e2e.cms.algorithms import CIPHERS
from slixmpp_e2e.cms.asn1 import OCTET_STRING, SET, ASN1Error, Reader, integer, octet_string, sequence, set_of
from slixmpp_e2e.cms.capabilities import Capabilities

#: The longest encoding that is kept, in octets: a preference may name an issuer of any length.
MAX_OCTETS: Final = 4096
#: How old what is kept may be although the same is still said, in nanoseconds: not every stanza is a commit.
_REFRESHED: Final = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the newest trusted signature by a certificate said."""

    #: Of the stanza, in nanoseconds since 1970.
    timestamp: int
    capabilities: Capabilities
    #: The identifier of the certificate to encrypt to instead.
    preference: bytes | None
    #: Fingerprint of the certificate that signed: what one says of another counts less than what that one says.
    signer: bytes

    def yields_to(self, earlier: "Announcement", certificate: bytes) -> bool:
        """Tell whether what was said earlier of a certificate, by its fingerprint, goes on counting.

        What it said itself goes before what another said; among equals, the newest counts.
        """
        if (self.signer == certificate) != (earlier.signer == certificate):
            return earlier.signer == certificate
        return self.timestamp <= earlier.timestamp

    def is_the_same(self, other: "Announcement") -> bool:
        """Tell whether the same was said, whenever."""
        return (self.capabilities, self.preference, self.signer) == (
            other.capabilities,
            other.preference,
            other.signer,
        )

    def repeats(self, kept: "Announcement") -> bool:
        """Tell whether it says the same as what is kept, within a day of it."""
        return self.is_the_same(kept) and self.timestamp - kept.timestamp < _REFRESHED

    def at_the_latest(self, before: int) -> "Announcement":
        """Return what was read back as if it had been repeated as late as it can have been, before a moment.

        Repetitions within a day were not written down: what is late and dated in between may be older than they.
        """
        return replace(self, timestamp=max(self.timestamp, min(self.timestamp + _REFRESHED - 1, before)))

    def to_der(self) -> bytes:
        """Return what is kept; where it would be too long, nothing, which can't be read."""
        der = sequence(
            integer(self.timestamp),
            set_of(cipher.identifier for cipher in self.capabilities.ciphers),
            integer(self.capabilities.oaep),
            octet_string(self.signer),
            b"" if self.preference is None else octet_string(self.preference),
        )
        return der if len(der) <= MAX_OCTETS else b""

    @classmethod
    def from_der(cls, der: bytes) -> "Announcement | None":
        """Read what was kept; None where that is not exactly what would be written."""
        try:
            said = cls._read(der)
        except (ASN1Error, KeyError):
            return None
        return said if said.to_der() == der else None

    @classmethod
    def _read(cls, der: bytes) -> "Announcement":
        outside = Reader(der)
        inside = outside.enter()
        outside.finish()
        timestamp = inside.integer()
        ciphers = frozenset(CIPHERS[each] for each in inside.enter(SET).elements(limit=len(CIPHERS)))
        capabilities = Capabilities(ciphers, oaep=bool(inside.integer(maximum=1)))
        signer = inside.contents(OCTET_STRING)
        preference = inside.contents(OCTET_STRING) if inside else None
        inside.finish()
        return cls(timestamp, capabilities, preference, signer)
