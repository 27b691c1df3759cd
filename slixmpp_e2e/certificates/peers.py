"""The certificates of peers: configured or learned, and which of them to encrypt to.

A certificate is never trusted because it is here; `trust.Authority` judges it at every use. What a signer
announced of his software is kept beside it (RFC 8551 2.7.1).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from slixmpp_e2e.certificates.announcement import Announcement
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import Purpose
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.certificates.trust import Authority, Decision, UntrustedError
from slixmpp_e2e.cms.capabilities import UNKNOWN, Capabilities, read_capabilities, read_preference
from slixmpp_e2e.cms.certificates import CertificatePool, ParsedCertificate, PreferringPool
from slixmpp_e2e.cms.recipients import can_receive
from slixmpp_e2e.cms.signed_data import VerifiedSigner
from slixmpp_e2e.errors import SignatureError, StoreError
from slixmpp_e2e.freshness import WINDOW, from_datetime
from slixmpp_e2e.report import Trust
from slixmpp_e2e.tables import Recent

_SIZE: Final = 4096
_PER_JID: Final = 8
#: How long it is remembered which certificates to encrypt to.
REMEMBERED: Final = timedelta(minutes=1)

#: A certificate and what came along with it, the certificate first.
Known = tuple[ParsedCertificate, ...]


@dataclass(frozen=True, slots=True)
class PeerKey:
    """A certificate that a peer can be encrypted to, and what its software can decrypt."""

    certificate: ParsedCertificate
    capabilities: Capabilities


class PeerCertificates:
    """Finds, judges and learns the certificates of peers; JIDs are normalised bare JIDs."""

    def __init__(
        self,
        authority: Authority,
        store: Store,
        configured: Mapping[str, Sequence[Known]] | None = None,
        *,
        remembered: timedelta = REMEMBERED,
    ) -> None:
        self._authority = authority
        self._remembered = remembered
        self._store = store
        self._configured = dict(configured or {})
        self.pool = CertificatePool(
            (known[0] for group in self._configured.values() for known in group), look_up=self._look_up
        )
        #: JIDs and fingerprints of those that the store has.
        self._learned: Recent[tuple[str, bytes], bool] = Recent(_SIZE)
        #: When they were found, and the generation of what they were judged by.
        self._keys: Recent[str, tuple[datetime, tuple[PeerKey, ...], int]] = Recent(_SIZE)
        #: By JID and fingerprint: what a certificate of several JIDs said as one of them is not said for others.
        self._announced: Recent[tuple[str, bytes], Announcement] = Recent(_SIZE)
        #: The announcements as the store has them, which may be a day older.
        self._kept: Recent[tuple[str, bytes], Announcement] = Recent(_SIZE)

    def __len__(self) -> int:
        return len(self._learned) + len(self._keys) + len(self._announced) + len(self._kept)

    # ------------------------------------------------------------------ asking

    def of(self, jid: str) -> Iterable[Known]:
        """Return what is known of a JID, configured ones first. Nothing about them is judged."""
        yield from self._configured.get(jid, ())
        for chain in self._store.certificates(jid):
            if parsed := self.parse(chain):
                yield tuple(parsed)

    def pool_for(self, jid: str) -> PreferringPool:
        """Return where the signer of a stanza is looked up: first among the certificates of who sends it.

        Whoever is believed may have any number of certificates with the sender's key identifier, and of those only
        so many are looked at (`store.CERTIFICATES_FOUND`).
        """
        return PreferringPool(self.pool, partial(self._of_sender, jid))

    def _of_sender(self, jid: str) -> list[ParsedCertificate]:
        with _as_unknown_signer():
            return [known[0] for known in self.of(jid)]

    def _look_up(self, identifier: bytes) -> tuple[bytes, ...]:
        """Find a signer among the learned certificates; raise `SignatureError` if the store can't be read."""
        with _as_unknown_signer():
            return self._store.find_certificates(identifier)

    def parse(self, chain: Iterable[bytes]) -> list[ParsedCertificate]:
        """Return the certificates that can be read."""
        return [found for der in chain if (found := self.pool.parse(der)) is not None]

    def chain_of(self, jid: str, certificate: ParsedCertificate) -> Sequence[ParsedCertificate]:
        """Return what came along with a certificate when it came; if it came more than once, where something did."""
        for known in self.of(jid):
            if known[0].fingerprint == certificate.fingerprint and len(known) > 1:
                return known[1:]
        return ()

    def is_trusted(
        self, jid: str, known: Sequence[ParsedCertificate], at: datetime, purpose: Purpose
    ) -> bool:
        """Tell whether a certificate is believed to be a JID's, for a purpose.

        First use is for who signs: a certificate that merely lies about is believed by nobody because of it. Where
        nothing came along with it this time, what came along before does: it may have been revoked.
        """
        above = known[1:] or self.chain_of(jid, known[0])
        try:
            decision = self._authority.judge(jid, known[0], above, at=at, purpose=purpose)
        except UntrustedError:
            return False
        return not decision.first_use

    def keys(self, jid: str, at: datetime) -> tuple[PeerKey, ...]:
        """Return the trusted certificates to encrypt to; remembered for a while, until one of them ends."""
        remembered, generation = self._keys.get(jid), self._authority.generation
        if (
            remembered is not None
            and timedelta() <= at - remembered[0] < self._remembered
            and generation == remembered[2]
            and all(at <= key.certificate.valid_until for key in remembered[1])
        ):
            return remembered[1]
        found = tuple(self._find_keys(jid, at))
        self._keys.put(jid, (at, found, generation))
        return found

    def _find_keys(self, jid: str, at: datetime) -> Iterable[PeerKey]:
        usable: dict[bytes, ParsedCertificate] = {}
        for known in self.of(jid):
            if len(usable) == _PER_JID:
                break
            if can_receive(known[0].public_key) and self.is_trusted(jid, known, at, "encrypt"):
                usable[known[0].fingerprint] = known[0]
        before = self._read_back(jid) if usable else {}
        said = {each: self._announced.get((jid, each)) or before.get(each) for each in usable}
        wanted = {
            each: certificate
            for each, certificate in usable.items()
            if not self._elsewhere(certificate, said[each], usable.values())
        }
        for fingerprint, certificate in (wanted or usable).items():  # two that name each other name none
            announced = said[fingerprint]
            yield PeerKey(certificate, announced.capabilities if announced else UNKNOWN)

    @staticmethod
    def _elsewhere(
        certificate: ParsedCertificate, said: Announcement | None, usable: Iterable[ParsedCertificate]
    ) -> bool:
        """Tell whether the owner of a certificate would rather have another usable one (RFC 8551 2.5.3)."""
        if said is None or said.preference is None or certificate.answers_to(said.preference):
            return False
        return any(other.answers_to(said.preference) for other in usable)

    # ------------------------------------------------------------------ learning

    def learn(
        self,
        jid: str,
        signer: VerifiedSigner,
        hints: Sequence[ParsedCertificate],
        timestamp: int,
        *,
        decision: Decision,
        at: datetime,
    ) -> bool:
        """Keep the certificate of a trusted signer, to encrypt to and to verify with (RFC 3923 6.2).

        And what it says of him: the newest announcement counts. A certificate that he prefers is kept if it is
        believed to be the same JID's at `at`; he may have put anybody's beside his own. Where he is believed
        because he was the first, so is the preferred certificate, unless something is decided about it already.
        Return whether his certificate is new.
        """
        said = self._hear(jid, signer, timestamp, at)
        is_new = self.add(jid, signer.certificate, hints)
        if said is None:
            return is_new
        self._keep(jid, signer.certificate.fingerprint, said)
        for other in hints:
            if said.preference is None or not other.answers_to(said.preference):
                continue
            if decision.first_use and jid in certificate_jids(other.certificate):
                self._store.decide_if_undecided(jid, other.fingerprint)  # a person's word counts more
                self._keys.pop(jid)
            if self.is_trusted(jid, [other, *hints], at, "encrypt"):
                self.add(jid, other, hints)
                # it may never sign, so this counts for it unless it said something itself
                if self._take(jid, other.fingerprint, said, at):
                    self._keep(jid, other.fingerprint, said)
        return is_new

    def decide(self, jid: str, fingerprint: bytes, trust: Trust | None) -> None:
        """Keep a decision about a certificate, or take it back with None; it counts from the next stanza on."""
        if trust is None:
            self._store.undecide(jid, fingerprint)
        else:
            self._store.decide(jid, fingerprint, trust)
        self._keys.pop(jid)

    def decide_first_use(self, jid: str, fingerprint: bytes) -> bool:
        """Believe a certificate because it is the first of a JID; return False if it is not, by now."""
        self._keys.pop(jid)
        return self._store.decide_first_use(jid, fingerprint)

    def add(self, jid: str, certificate: ParsedCertificate, hints: Sequence[ParsedCertificate]) -> bool:
        """Keep a certificate that was judged; return whether it is new."""
        if self._learned.get((jid, certificate.fingerprint)):
            return False
        if any(known[0].fingerprint == certificate.fingerprint for known in self._configured.get(jid, ())):
            return False
        above = (each.der for each in hints if each.fingerprint != certificate.fingerprint)
        is_new = self._store.add_certificate(jid, (certificate.der, *above))
        if is_new:  # another one of this JID may have had to go: it is to be learned again when it signs
            for key in self._learned:
                if key[0] == jid:
                    self._learned.pop(key)
                    self._kept.pop(key)
            self._keys.pop(jid)
        self.pool.forget(certificate)
        self._learned.put((jid, certificate.fingerprint), True)
        return is_new

    def forget(self, jid: str) -> None:
        """Ask the store about a JID again: somebody else has changed what it keeps."""
        self._keys.pop(jid)
        for table in (self._learned, self._announced, self._kept):
            for key in table:
                if key[0] == jid:
                    table.pop(key)

    # ------------------------------------------------------------------ announcements

    def _hear(self, jid: str, signer: VerifiedSigner, timestamp: int, at: datetime) -> Announcement | None:
        """Return what a signature announces, if it counts."""
        capabilities = read_capabilities(signer.attributes)
        if capabilities is None:
            return None
        own = signer.certificate.fingerprint
        said = Announcement(timestamp, capabilities, read_preference(signer.attributes), own)
        return said if self._take(jid, own, said, at) else None

    def _take(self, jid: str, certificate: bytes, said: Announcement, at: datetime) -> bool:
        """Let an announcement count from now on, unless what was said earlier goes on counting."""
        before = self._announced.get((jid, certificate))
        if before is None and (kept := self._read_back(jid).get(certificate)) is not None:
            before = kept.at_the_latest(from_datetime(at) - WINDOW)
        if before is not None and said.yields_to(before, certificate):
            return False
        self._announced.put((jid, certificate), said)
        if before is None or not said.is_the_same(before):
            self._keys.pop(jid)
        return True

    def _keep(self, jid: str, certificate: bytes, said: Announcement) -> None:
        """Write down what counts, unless that is written already: not every stanza is to be a commit.

        What can't be written is said again with the next signature, so it is no error.
        """
        kept = self._kept.get((jid, certificate))
        if kept is not None and said.repeats(kept):
            return
        with suppress(StoreError):
            kept = self._read_back(jid).get(certificate)
            if kept is None or not said.repeats(kept):
                self._store.announce(jid, certificate, said.to_der())
                kept = said
            self._kept.put((jid, certificate), kept)

    def _read_back(self, jid: str) -> dict[bytes, Announcement]:
        kept = self._store.announcements(jid).items()
        return {each: said for each, der in kept if (said := Announcement.from_der(der)) is not None}


@contextmanager
def _as_unknown_signer() -> Iterator[None]:
    """Make a `SignatureError` of a store that can't be read.

    No signature has been verified yet, and the answer has to be that of every other failure (ARCHITECTURE
    invariant 15).
    """
    try:
        yield
    except StoreError as error:
        raise SignatureError(f"the signer can't be looked up: {error}", reason="unknown-signer") from error


def index_by_name(groups: Iterable[Sequence[ParsedCertificate]]) -> dict[str, list[Known]]:
    """Return certificates by the bare JIDs that they name; a group is what stood in one file."""
    found: dict[str, list[Known]] = {}
    for group in groups:
        for certificate in group:
            others = [each for each in group if each is not certificate]
            for jid in certificate_jids(certificate.certificate):
                found.setdefault(jid, []).append((certificate, *others))
    return found
