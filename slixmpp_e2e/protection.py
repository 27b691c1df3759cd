"""A stanza in, a protected payload out, and back: what ties keys, trust, time and formats together.

No stream and no I/O of its own: the clock, the randomness, the keys and the store are given to it.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Unpack
from xml.etree.ElementTree import Element

from slixmpp.jid import JID

from slixmpp_e2e.arriving import Arriving, Circumstances, Judged, Payload, Unprotected
from slixmpp_e2e.certificates.household import Household
from slixmpp_e2e.certificates.identity import EncryptionIdentity, Identity
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PURPOSES
from slixmpp_e2e.certificates.peers import REMEMBERED, Known, PeerCertificates, PeerKey
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.certificates.succession import Succession
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.cms.algorithms import Random
from slixmpp_e2e.cms.capabilities import common_cipher
from slixmpp_e2e.cms.recipients import DecryptionKeys, Recipient, recipient_for
from slixmpp_e2e.errors import (
    CertificateError,
    CertificatesOnlyError,
    NoCertificateError,
    StoreError,
    UnprotectableError,
)
from slixmpp_e2e.formats import rfc3923
from slixmpp_e2e.formats.objenc_envelope import CIPHER_NAMES
from slixmpp_e2e.freshness import SECOND, Admission, MonotoneClock, to_datetime
from slixmpp_e2e.leaving import Format, Plan, objenc_recipient, objenc_sealing
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.options import Options
from slixmpp_e2e.policy import Level
from slixmpp_e2e.stanza import Outer
from slixmpp_e2e.tables import Recent

#: RFC 3923 6.6.
INCLUSION_INTERVAL: Final = 300 * SECOND
_JIDS: Final = 4096
#: How many certificates without a signature are judged at once: one that signs, one that is encrypted to.
_AT_ONCE: Final = 2


class Protection:
    """Protects and unprotects stanzas for one account.

    `now` returns nanoseconds since 1970. `configured` are certificates of peers that were configured, by bare JID,
    each with what came along with it. `remembered` is how long it is remembered whom to encrypt to by which
    certificates, after which the store is asked again. `keys` are where decryption keys are put.
    """

    def __init__(
        self,
        identity: Identity,
        authority: Authority,
        store: Store,
        now: Callable[[], int],
        *,
        options: Options | None = None,
        configured: Mapping[str, Sequence[Known]] | None = None,
        remembered: timedelta = REMEMBERED,
        keys: DecryptionKeys | None = None,
        random: Random = os.urandom,
        on_clock_adjustment: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.authority = authority
        self.store = store
        self.now = now
        self.options = options or Options()
        self.random = random
        self.on_clock_adjustment = on_clock_adjustment
        self.household = Household(identity)
        authority.is_ours = lambda jid: self.household.of(jid) is not None
        self.peers = PeerCertificates(authority, store, configured, remembered=remembered)
        self.peers.pool.add(identity.certificate)  # for copies of what we sent
        if authority.revocation is not None:
            authority.revocation.recall(store.revocation_lists())
            authority.revocation.on_learned = store.add_revocation_list
        self._clock = MonotoneClock(now, lambda seconds: self.on_clock_adjustment(seconds))  # noqa: PLW0108 it is set later
        #: By fingerprint and key transport.
        self._recipients: Recent[tuple[bytes, str], Recipient] = Recent(_JIDS)
        #: When the certificate of one of our JIDs was sent to a JID last.
        self._inclusions: Recent[tuple[str, str], int] = Recent(_JIDS)
        self._keys = DecryptionKeys() if keys is None else keys
        #: Whether one of our decryption keys takes its time.
        self.decrypts_slowly = False
        self._add_decryption_keys(identity)
        self._arriving = Arriving(self, self._keys)

    @property
    def succession(self) -> Succession:
        """Who follows whom of our own account."""
        return self.household.first

    @property
    def identity(self) -> Identity:
        """Who we are; another one may follow (`add_identity`)."""
        return self.household.first.current

    @property
    def jids(self) -> frozenset[str]:
        """All bare JIDs that we are: our own, and those that are hosted."""
        return self.household.jids

    def identity_of(self, jid: JID) -> Identity | None:
        """Return who we are as a JID; None if that is not ours."""
        found = self.household.of(bare(jid))
        return None if found is None else found.current

    def size(self) -> int:
        """Return how much is remembered, in entries."""
        return len(self._inclusions) + len(self._recipients) + len(self._arriving) + len(self.peers)

    def add_identity(self, identity: Identity) -> None:
        """Sign with another key from now on, or from when its certificate becomes valid.

        What was encrypted to the older one stays readable, and peers get the new certificate with the next
        stanza. Raises `CertificateError` if it is expired, or does not name all that the older one names.
        """
        self.household.add(identity, to_datetime(self.now()))
        self._know(identity)

    def host(self, identity: Identity) -> None:
        """Be another account besides, as a component is; or let its identity be followed by this one.

        Raises `CertificateError` if the certificate is expired, or names only some JIDs of an older one.
        """
        self.household.host(identity, to_datetime(self.now()))
        self._know(identity)

    def _know(self, identity: Identity) -> None:
        self._add_decryption_keys(identity)
        self.peers.pool.add(identity.certificate)
        self._advance()

    def _advance(self) -> None:
        if self.household.advance(to_datetime(self.now())):
            for inclusion in self._inclusions:  # nobody has its certificate
                self._inclusions.pop(inclusion)

    def _add_decryption_keys(self, identity: Identity) -> None:
        for own in (identity, identity.encryption):
            if own is not None:
                self.add_decryption_key(own)

    def add_decryption_key(self, identity: EncryptionIdentity) -> None:
        """Make what was encrypted to an older certificate of ours readable."""
        if identity.can_decrypt:
            self._keys.add(identity.key, identity.certificate)
            self.decrypts_slowly = self.decrypts_slowly or identity.is_slow

    # ------------------------------------------------------------------ leaving

    def can_encrypt_to(self, jid: JID) -> bool:
        """Tell whether there is a usable certificate of a JID."""
        return bool(self.peers.keys(bare(jid), to_datetime(self.now())))

    def can_write_objenc(self, jid: JID) -> bool:
        """Tell whether draft-miller-3923bis-02 can be written to a JID: to an RSA key, with a cipher it names."""
        cipher = self.options.cipher
        keys = self.peers.keys(bare(jid), to_datetime(self.now()))
        return (cipher is None or cipher.name in CIPHER_NAMES) and objenc_recipient(keys) is not None

    def protect(
        self, stanza: Element, *, sender: JID, recipient: JID, level: Level, written_as: Format = "rfc3923"
    ) -> Element:
        """Return the `<e2e/>` element for a stanza in `jabber:client`.

        `level` says what to do; `opportunistic` counts as `required` here, `off` is an error. What is only signed
        is written as RFC 3923 has it, whatever is asked for. Raises a `LocalError`: `NoCertificateError`,
        `CertificateError` (ours is expired or is somebody else's), `InvalidStanzaError`.
        """
        plan = self.plan(stanza, sender=sender, recipient=recipient, level=level, written_as=written_as)
        element = plan.write()
        self.written(plan)
        return element

    def plan(
        self, stanza: Element, *, sender: JID, recipient: JID, level: Level, written_as: Format = "rfc3923"
    ) -> Plan:
        """Return what `protect` would do, for somebody who does it elsewhere and says so (`written`)."""
        if level is Level.OFF:
            raise UnprotectableError("nothing is to be done to this stanza")
        own = self.household.of(bare(sender))
        if own is None:  # RFC 3923 6.3: nobody would believe it
            raise CertificateError(f"our certificate is not for {sender.bare}")
        if own:
            self._advance()
        identity, now = own.current, self.now()
        at = to_datetime(now)
        in_objenc = written_as == "objenc"  # one certificate, which has to be the recipient's (ERRATA B24)
        keys = (
            () if level is Level.SIGN else self._recipient_keys(recipient, identity, at, copy=not in_objenc)
        )
        signer, certificates = None, False
        if level is not Level.ENCRYPT_UNSIGNED:
            identity.check_validity(at)
            certificates = self._includes_certificates(sender, recipient, now)
            signer = identity.signer if certificates else identity.short_signer
        if in_objenc and keys:
            sealing = rfc3923.Sealing(signer, (), certificates=certificates)
            encrypting = objenc_sealing(keys, self.options.cipher)
            return Plan(stanza, sender, recipient, sealing, self._clock.next(), self.random, encrypting)
        cipher = self.options.cipher or common_cipher(key.capabilities for key in keys)
        recipients = tuple(self._recipient(key, identity) for key in keys)
        sealing = rfc3923.Sealing(signer, recipients, cipher, certificates=certificates)
        return Plan(stanza, sender, recipient, sealing, self._clock.next(), self.random)

    def written(self, plan: Plan) -> None:
        """Take note that a plan was carried out, and what the recipient will know then."""
        if plan.sealing.signer is not None and plan.sealing.certificates:
            self._inclusions.put((bare(plan.sender), plan.recipient.full), self.now())

    def certificates_only(self) -> str:
        """Return the text of an `<e2e/>` element with our certificates and nothing else (RFC 3851 3.7)."""
        signer = self.identity.signer
        return rfc3923.write_certificates((signer.certificate, *signer.chain))

    def _recipient_keys(
        self, recipient: JID, own: Identity, at: datetime, *, copy: bool
    ) -> tuple[PeerKey, ...]:
        """Return whom to encrypt to; with `copy` ourselves, too, where the options ask for it."""
        found = self.peers.keys(bare(recipient), at)
        if not found:
            raise NoCertificateError(f"no usable certificate of {recipient.bare} is known")
        if copy and self.options.encrypt_to_self:
            ours = [key for jid in own.jids for key in self.peers.keys(jid, at)]
            if own.recipient is not None:
                ours.append(PeerKey(own.recipient, own.capabilities))
            found = tuple({key.certificate.fingerprint: key for key in (*found, *ours)}.values())
        return found

    def _recipient(self, key: PeerKey, own: Identity) -> Recipient:
        transport = self.options.transport or key.capabilities.transport
        name = key.certificate.fingerprint, transport.name
        found = self._recipients.get(name)
        if found is None:
            # We find our own key by its key identifier, which is shorter; others may know issuer and number only.
            shorter = key.certificate == own.recipient and key.certificate.key_identifier is not None
            found = recipient_for(key.certificate, transport=transport, key_identifier=shorter or None)
            self._recipients.put(name, found)
        return found

    def _includes_certificates(self, sender: JID, recipient: JID, now: int) -> bool:
        """Follow RFC 3923 6.6: with the first stanza and then once in five minutes (ERRATA E27)."""
        last = self._inclusions.get((bare(sender), recipient.full))
        return last is None or not 0 <= now - last < INCLUSION_INTERVAL

    def include_again(self, sender: JID, recipient: JID) -> None:
        """Send our certificate again with the next stanza to a full JID."""
        self._inclusions.pop((bare(sender), recipient.full))

    def forget_inclusion(self, jid: JID) -> None:
        """Send our certificate again with the next stanza: the peer may not have it."""
        # what is remembered is prepared already; parsing thousands of JIDs would take milliseconds
        name = jid.bare
        for inclusion in self._inclusions:
            if inclusion[1].partition("/")[0] == name:
                self._inclusions.pop(inclusion)

    # ------------------------------------------------------------------ arriving

    def trusts_somebody_as(self, jid: JID) -> bool:
        """Tell whether a trusted certificate of a JID is known (who may be answered: ERRATA E05)."""
        at, name = to_datetime(self.now()), bare(jid)
        return any(self.peers.is_trusted(name, known, at, "encrypt") for known in self.peers.of(name))

    def unprotect(self, payload: Payload, outer: Outer, **how: Unpack[Circumstances]) -> Unprotected:
        """Open an `<e2e/>` element, and judge what is in it; raise a `RemoteError`.

        `payload` is its text where it is RFC 3923's, or the element where it is draft-miller-3923bis-02's.

        `delayed_since` is when our own server says that it stored the stanza. With `archived` it comes from an
        archive that we asked: whether it came before is not looked at, except that an encrypted key must not
        come with another object than before, and the report never says `authenticated`. Of a `TimestampError`
        for what was authenticated but is old, from the future, or seen, `stale` holds stanza and report. Raises
        `StoreError` if the replay record can't be kept: then nothing is delivered. What is found in a
        `CertificatesOnlyError` is learned before it is raised. What nobody signed is an error, unless
        `allow_unsigned`.
        """
        judged = self.judge(payload, outer, **how)
        question = judged.question
        if question is None:
            return self.conclude(judged)
        try:
            admission = self.store.admit(
                question.signer, question.digest, question.timestamp, question.received, question.former
            )
        except StoreError:
            self.release(judged)
            raise
        return self.conclude(judged, admission)

    def judge(self, payload: Payload, outer: Outer, **how: Unpack[Circumstances]) -> Judged:
        """Do the first step of `unprotect`, for somebody who asks the replay record himself.

        He goes on with `conclude` when he has the answer to the `question`, or with `release` if he gets none.
        """
        try:
            return self._arriving.judge(payload, outer, **how)
        except CertificatesOnlyError as error:
            error.learned = self.take_certificates(error.certificates, outer.sender)
            raise

    def conclude(self, judged: Judged, admission: Admission | None = None) -> Unprotected:
        """Do the second step of `unprotect`, with the answer to the `question` if there is one."""
        return self._arriving.conclude(judged, admission)

    def release(self, judged: Judged) -> None:
        """Let a stanza come again whose `question` nobody could answer."""
        self._arriving.release(judged)

    def take_certificates(
        self, certificates: Iterable[bytes], sender: JID, *, at_once: int = _AT_ONCE
    ) -> bool:
        """Keep those certificates (DER) that are the sender's and that we trust: nobody signed for them.

        The first `at_once` that name him are judged. Return whether one is new; raise `StoreError`.
        """
        jid, at = bare(sender), to_datetime(self.now())
        found = self.peers.parse(certificates)
        named = [each for each in found if jid in certificate_jids(each.certificate)][:at_once]
        trusted = [
            each
            for each in named
            if any(self.peers.is_trusted(jid, [each, *found], at, purpose) for purpose in PURPOSES)
        ]
        return any([self.peers.add(jid, each, found) for each in trusted])  # noqa: C419 all of them
