"""What was proven about a stanza."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from cryptography import x509
from slixmpp.jid import JID

#: How a stanza reached us: see `SecurityReport.arrival`.
Arrival = Literal["live", "delayed", "archived"]
#: What is known about revocation: see `SecurityReport.revocation`.
Revocation = Literal["good", "unknown", "expired", "off"]


class Trust(StrEnum):
    """How a certificate came to be believed, strongest first."""

    #: A person compared fingerprints.
    VERIFIED = "verified"
    #: There is a path to a trust anchor, and the names match (RFC 5280, RFC 8550).
    PKIX = "pkix"
    #: It was pinned for this JID by configuration.
    PINNED = "pinned"
    #: It was the first one seen for this JID.
    TOFU = "tofu"
    #: Nothing speaks for it.
    UNTRUSTED = "untrusted"
    #: Something speaks against it.
    DISTRUSTED = "distrusted"


_TRUSTED = frozenset({Trust.VERIFIED, Trust.PKIX, Trust.PINNED, Trust.TOFU})


@dataclass(frozen=True, slots=True)
class SecurityReport:
    """What was proven about a stanza that was delivered. Only what is said here was checked.

    It says nothing about what the sender may do: that is for the program, which knows `signer`.
    """

    #: The format of the object: `rfc3923`; or `objenc`, draft-miller-3923bis-02, which encrypts and does not sign: if
    #: it is signed, that is an object of RFC 3923 inside. No signature is over it: see `encrypted`.
    format: str
    #: The content carries a valid signature.
    signed: bool
    #: The content was encrypted to one of our keys when it arrived. It says nothing about who did that, signed or
    #: not: the signature is inside, so somebody on the way may have encrypted what the signer only signed. So
    #: nothing says who else has read it.
    encrypted: bool
    #: The bare JID that the signer's certificate names and the stanza came from; None if unsigned.
    signer: JID | None
    #: The signer's certificate; None if unsigned.
    certificate: x509.Certificate | None
    #: The path from that certificate to a trust anchor; the certificate alone where no path decided.
    chain: tuple[x509.Certificate, ...]
    #: How that certificate is trusted; `untrusted` if unsigned.
    trust: Trust
    #: When the sender says it was sent, to the microsecond.
    timestamp: datetime | None
    #: `ok`; `decreasing`: earlier than another stanza of this signer that came before; `old`, `future` and
    #: `seen` only with `deliver_stale`, or from an archive.
    timestamp_state: Literal["ok", "decreasing", "old", "future", "seen"]
    #: Seconds from the time that the timestamp was compared with (now, or when our server stored it) to it.
    skew: float | None
    #: `live`; `delayed`: our own server stored the stanza, and the timestamp was compared with that time;
    #: `archived`: it is from our archive, and nothing says whether it came before.
    arrival: Arrival
    #: For example `rsa-sha256`; None if unsigned.
    signature_algorithm: str | None
    #: For example `aes128-cbc` and `rsa-pkcs1`; None if not encrypted.
    encryption_algorithm: str | None
    key_management_algorithm: str | None
    #: Which of our certificates it was encrypted to: its SHA-256 fingerprint; None if not encrypted.
    decrypted_with: bytes | None
    #: An algorithm was used that only an explicit option lets through: SHA-1, Triple-DES.
    legacy: bool
    #: The checks that were passed, in their order: `decryption`, `signature`, `names`, `validity`, `key-usage`, the
    #: word of `trust`, `binding` (to the outer stanza), then `timestamp` and `replay`, or `archive`.
    checks: tuple[str, ...]
    #: The id that the stanza had on the way.
    outer_id: str
    #: Whether the signer's certificate or a CA above it was revoked. `good`: current lists of all CAs say no;
    #: `expired`: they did when they were current; `unknown`: there is none that can be used; `off`: nobody
    #: asked, because the policy says so, or because a pin decided, or it is unsigned.
    revocation: Revocation = "off"

    @property
    def signer_trusted(self) -> bool:
        """Signed, by a trusted certificate that names the sender, to us. It may be old, or come again."""
        return self.signed and self.signer is not None and self.trust in _TRUSTED

    @property
    def authenticated(self) -> bool:
        """All of it: `signer_trusted`, fresh, and not seen before; never for what comes from an archive."""
        return (
            self.signer_trusted
            and self.timestamp_state in {"ok", "decreasing"}
            and self.arrival != "archived"
        )
