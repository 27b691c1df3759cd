"""One identity after another: certificates end, and the conversation goes on."""

from datetime import datetime

from slixmpp_e2e.certificates.identity import Identity
from slixmpp_e2e.errors import CertificateError


class Succession:
    """Which identities follow the one that signs, and which certificates were ever ours."""

    def __init__(self, first: Identity) -> None:
        #: The one that signs.
        self.current = first
        self._ours = {first.certificate.fingerprint}
        self._following: list[Identity] = []

    def __len__(self) -> int:
        return len(self._following)

    def add(self, identity: Identity, at: datetime) -> None:
        """Let an identity follow, from when its certificate becomes valid; raise `CertificateError`.

        It must name all the JIDs of the current one, and must not be expired.
        """
        if not self.current.jids <= identity.jids:
            missing = ", ".join(sorted(self.current.jids - identity.jids))
            raise CertificateError(f"the new certificate does not name {missing}")
        if at > identity.certificate.valid_until:
            raise CertificateError("the new certificate is expired")
        self._ours.add(identity.certificate.fingerprint)
        self._following.append(identity)

    def advance(self, at: datetime) -> bool:
        """Let the newest identity that is valid now be the current one; return whether it is another.

        One that ended before its turn came is passed over.
        """
        for number in range(len(self._following) - 1, -1, -1):
            found = self._following[number]
            if found.certificate.valid_from <= at <= found.certificate.valid_until:
                del self._following[: number + 1]
                self.current = found
                return True
        return False

    def includes(self, fingerprint: bytes) -> bool:
        """Tell whether a certificate is or was ours, by its fingerprint."""
        return fingerprint in self._ours
