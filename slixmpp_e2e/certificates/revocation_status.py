"""What can be known about whether a certificate was revoked, whoever says it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509

#: From the end entity up to the anchor.
Path = tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """That a certificate was revoked."""

    since: datetime
    #: The name of a CRLReason, `unspecified` where none is given.
    reason: str


class RevocationState(StrEnum):
    """What is known about whether a certificate was revoked."""

    GOOD = "good"
    REVOKED = "revoked"
    #: Nothing that can be used says anything about it.
    UNKNOWN = "unknown"
    #: It was good when somebody said so last, and there should have been something newer.
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Status:
    """What is known about a certificate, or about a whole path."""

    state: RevocationState
    #: Where `revoked`: since when, and why.
    entry: Entry | None = None
    #: Where not `good`: the certificate that it is about.
    certificate: x509.Certificate | None = None
    #: Where `good`: until when.
    until: datetime | None = None
