"""Our own identities: the one of our own account, and those of accounts that a component hosts."""

from collections.abc import Iterator
from datetime import datetime

from slixmpp_e2e.certificates.identity import Identity
from slixmpp_e2e.certificates.succession import Succession
from slixmpp_e2e.errors import CertificateError


class Household:
    """Who we are, by bare JIDs; each identity may be followed by others (`succession.Succession`)."""

    def __init__(self, first: Identity) -> None:
        #: Our own account's, which nobody else's takes the place of.
        self.first = Succession(first)
        self._hosted: dict[str, Succession] = {}

    def __iter__(self) -> Iterator[Succession]:
        """Yield each succession once, the first one first."""
        yield self.first
        yield from dict.fromkeys(self._hosted.values())

    def __len__(self) -> int:
        return 1 + len(self._hosted)

    @property
    def jids(self) -> frozenset[str]:
        """All bare JIDs that are ours."""
        own = self.first.current.jids
        return own.union(self._hosted) if self._hosted else own

    def of(self, jid: str) -> Succession | None:
        """Return who signs as a bare JID, or None if it is none of ours."""
        return self.first if jid in self.first.current.jids else self._hosted.get(jid)

    def add(self, identity: Identity, at: datetime) -> None:
        """Let an identity follow the one that names some of its JIDs; raise `CertificateError`.

        Without one of its JIDs, it is to follow the first.
        """
        named = (found for jid in sorted(identity.jids) if (found := self.of(jid)) is not None)
        next(named, self.first).add(identity, at)

    def host(self, identity: Identity, at: datetime) -> None:
        """Be somebody else besides, or let his identity follow; raise `CertificateError`.

        An identity may name several JIDs, but not some that are hosted already together with others.
        """
        before = {self.of(jid) for jid in identity.jids}
        if before == {None}:
            if at > identity.certificate.valid_until:
                raise CertificateError("the certificate is expired")
            succession = Succession(identity)
            self._hosted.update(dict.fromkeys(identity.jids, succession))
        elif len(before) == 1:
            self.add(identity, at)
        else:
            named = ", ".join(sorted(identity.jids))
            raise CertificateError(f"of {named}, some have an identity already, and not the same")

    def advance(self, at: datetime) -> bool:
        """Let newer identities be the current ones; return whether one of them is another now."""
        return any([each.advance(at) for each in self if each])  # noqa: C419 all of them
