"""Who signed: why a signer's certificate is believed to be the sender's, and the first one kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from slixmpp.jid import JID

from slixmpp_e2e.certificates.household import Household
from slixmpp_e2e.certificates.identity import Identity
from slixmpp_e2e.certificates.path import check_usage
from slixmpp_e2e.certificates.peers import PeerCertificates
from slixmpp_e2e.certificates.succession import Succession
from slixmpp_e2e.certificates.trust import Authority, ChangedCertificateError, Decision, UntrustedError
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError, SignatureError
from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.report import Trust


class Judge(Protocol):
    """What it is decided by (`protection.Protection`)."""

    @property
    def authority(self) -> Authority:
        """Who decides about certificates."""

    @property
    def peers(self) -> PeerCertificates:
        """The certificates of peers."""

    @property
    def household(self) -> Household:
        """Our own identities."""

    @property
    def now(self) -> Callable[[], int]:
        """Nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Signers:
    """Decides about who signed."""

    judge: Judge

    def decide(
        self,
        sender: JID,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate],
        crls: Sequence[bytes],
    ) -> Decision:
        """Return why a certificate is believed to be the sender's; raise `SignatureError`.

        What came along with it when it was kept comes along again where that may change the answer, and before what
        the sender names: a revoked certificate must not count because its CA is left out, or is the last of many.
        """
        judge = self.judge
        jid = bare(sender)
        own = judge.household.of(jid)
        if own is not None and certificate.fingerprint == own.current.certificate.fingerprint:
            return self._decide_own(own.current, certificate)
        ours = own if own is not None and own.includes(certificate.fingerprint) else None
        try:
            try:
                decision = self._judge_signer(jid, certificate, hints, crls, ours)
            except UntrustedError:
                before = self._came_before(jid, certificate, ours)
                if not before:
                    raise
            else:
                by_path = decision.trust is Trust.PKIX
                if by_path or not (decision.first_use or judge.authority.may_know_revoked(crls)):
                    return decision
                before = self._came_before(jid, certificate, ours)
                if not before:
                    return decision
            return self._judge_signer(jid, certificate, [*before, *hints], crls, ours)
        except ChangedCertificateError as error:
            raise SignatureError(str(error), reason="certificate-changed") from None
        except UntrustedError as error:
            raise SignatureError(str(error), reason=error.why) from None

    def _judge_signer(
        self,
        jid: str,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate],
        crls: Sequence[bytes],
        ours: Succession | None,
    ) -> Decision:
        """Judge a certificate; one that was ours before another followed it, by what is said of it since."""
        judge = self.judge
        return judge.authority.judge(
            jid,
            certificate,
            hints,
            at=to_datetime(judge.now()),
            purpose="sign",
            crls=crls,
            others=judge.peers.of(jid),
            was_ours=ours is not None,
        )

    def _came_before(
        self, jid: str, certificate: ParsedCertificate, ours: Succession | None
    ) -> Sequence[ParsedCertificate]:
        """Return what came along with a certificate before; with one of ours, what we send along."""
        return self.judge.peers.chain_of(jid, certificate) if ours is None else ours.current.signer.chain

    def _decide_own(self, own: Identity, certificate: ParsedCertificate) -> Decision:
        """Judge a copy of what we sent ourselves with the key that we use, as far as the report says it."""
        try:
            own.check_validity(to_datetime(self.judge.now()))
            certificate.check_strength()
            check_usage(certificate.certificate, "sign")
        except CertificateError as error:
            raise SignatureError(str(error), reason="untrusted") from None
        return Decision(Trust.PINNED, (certificate.certificate,))

    def believe_first(self, jid: str, certificate: ParsedCertificate, *, secret: bool) -> None:
        """Keep that a certificate was the first of a JID; raise `SignatureError` if somebody decided otherwise.

        Since it was judged, that is: another process about another certificate, or a person about this one.
        """
        if self.judge.peers.decide_first_use(jid, certificate.fingerprint):
            return
        trust = self.judge.authority.decisions(jid).get(certificate.fingerprint)
        if trust in (Trust.VERIFIED, Trust.PINNED):
            return
        if trust is Trust.DISTRUSTED:
            error = SignatureError(f"the certificate of {jid} is distrusted", reason="distrusted")
        else:
            error = SignatureError(f"another certificate of {jid} was first", reason="certificate-changed")
        if secret:  # nobody is told what was inside (ERRATA E31)
            error.conceal()
        raise error
