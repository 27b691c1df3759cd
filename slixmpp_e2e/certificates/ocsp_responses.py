"""The OCSP responses that are known, and what they say of a certificate (RFC 6960).

They are kept unverified and believed when they are used, as lists are; the newest one that verifies counts.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from cryptography import x509

from slixmpp_e2e.certificates.ocsp import SKEW, CertID, OCSPResponse, certificate_ids
from slixmpp_e2e.certificates.revocation_status import RevocationState, Status
from slixmpp_e2e.errors import RevocationError
from slixmpp_e2e.tables import Recent

#: About how many certificates responses are kept, and how many about one until somebody asks.
_CERTIFICATES: Final = 4096
_PER_CERTIFICATE: Final = 4


class OCSPResponses:
    """OCSP responses by the certificates that they are about."""

    def __init__(self) -> None:
        self._responses: Recent[CertID, tuple[OCSPResponse, ...]] = Recent(_CERTIFICATES)
        #: Those that were verified, and the certificate of who signed, as `OCSPResponse.responder` returns it.
        self._verified: Recent[tuple[bytes, x509.Certificate], tuple[x509.Certificate | None]] = Recent(
            _CERTIFICATES
        )
        #: Grows whenever an answer may become another.
        self.generation = 0

    def __len__(self) -> int:
        return len(self._responses)

    def size(self) -> int:
        """Return how much is remembered, in entries: responses, and who signed them."""
        return len(self) + len(self._verified)

    def put(self, found: OCSPResponse) -> bool:
        """Keep a response and return whether it was new. Nobody has verified it."""
        known = self._responses.get(found.identifier) or ()
        if any(each.der == found.der for each in known):
            return False
        newest = sorted((*known, found), key=lambda each: each.this_update, reverse=True)
        self._responses.put(found.identifier, tuple(newest[:_PER_CERTIFICATE]))
        self.generation += 1
        return True

    def status(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        *,
        at: datetime,
        is_revoked: Callable[[x509.Certificate], bool],
    ) -> Status:
        """Return what the newest response says about a certificate at a time.

        `issuer` stands above it in a validated path. `is_revoked` tells it of a responder to whom that issuer gave
        a certificate: what he says then counts no more, whether his certificate asks for such a check or not.
        """
        found = self._newest(certificate, issuer, at)
        if found is None:
            return Status(RevocationState.UNKNOWN, certificate=certificate)
        response, responder = found
        if responder is not None and is_revoked(responder):
            return Status(RevocationState.UNKNOWN, certificate=certificate)
        if response.state is not RevocationState.GOOD:
            return Status(response.state, response.entry, certificate)
        until = response.until
        if responder is not None:
            until = min(until, responder.not_valid_after_utc)
        if until < at:
            return Status(RevocationState.EXPIRED, certificate=certificate)
        return Status(RevocationState.GOOD, until=until)

    def _newest(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> tuple[OCSPResponse, x509.Certificate | None] | None:
        """Return the newest response that counts, with its responder; forget those that never will.

        Whether a response verifies hangs on the issuer's name and key alone, which are in its identifier: what
        does not verify once never does.
        """
        believed: list[tuple[OCSPResponse, x509.Certificate | None]] = []
        for identifier in certificate_ids(certificate, issuer) if len(self) else ():
            known = self._responses.get(identifier) or ()
            good = [(each, *by) for each in known if (by := self._responder(each, issuer)) is not None]
            if len(good) < len(known):
                self._keep(identifier, tuple(each for each, _ in good))
            believed += [each for each in good if each[0].this_update <= at + SKEW]
        return max(believed, key=lambda each: each[0].this_update, default=None)

    def _keep(self, identifier: CertID, responses: tuple[OCSPResponse, ...]) -> None:
        if responses:
            self._responses.put(identifier, responses)
        else:
            self._responses.pop(identifier)

    def _responder(
        self, response: OCSPResponse, issuer: x509.Certificate
    ) -> tuple[x509.Certificate | None] | None:
        key = response.der, issuer
        known = self._verified.get(key)
        if known is None:
            try:
                known = (response.responder(issuer),)
            except RevocationError:
                return None
            self._verified.put(key, known)
        return known
