"""What leaves: decided completely first, then done wherever there is time for it."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple
from xml.etree.ElementTree import Element

from cryptography.hazmat.primitives.asymmetric import rsa
from slixmpp.jid import JID

from slixmpp_e2e.certificates.peers import PeerKey
from slixmpp_e2e.cms.algorithms import AES128_CBC, ContentCipher, Random
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import NoCertificateError
from slixmpp_e2e.formats import objenc, objenc_signed, rfc3923
from slixmpp_e2e.outer import E2E_TAG

#: RFC 3923, or draft-miller-3923bis-02.
Format = Literal["rfc3923", "objenc"]
FORMATS: Final[tuple[Format, ...]] = ("rfc3923", "objenc")


class Plan(NamedTuple):
    """What is to be done to a stanza. All has been asked that there is to ask: the rest can be done anywhere."""

    stanza: Element
    sender: JID
    recipient: JID
    #: Who signs, to whom it is encrypted where RFC 3923 encrypts it, and whether certificates go along.
    sealing: rfc3923.Sealing
    #: Nanoseconds since 1970.
    moment: int
    random: Random
    #: Where draft-miller-3923bis-02 encrypts it: to whom.
    encrypting: objenc.Sealing | None = None

    def write(self) -> Element:
        """Sign and encrypt, and return the `<e2e/>` element; raise a `LocalError`."""
        if self.encrypting is None:
            element = Element(E2E_TAG)
            element.text = rfc3923.protect(
                self.stanza,
                self.sealing,
                sender=self.sender,
                recipient=self.recipient,
                moment=self.moment,
                random=self.random,
            )
            return element
        if self.sealing.signer is None:
            return objenc.protect(
                self.stanza,
                self.encrypting,
                sender=self.sender,
                recipient=self.recipient,
                moment=self.moment,
                random=self.random,
            )
        return objenc_signed.protect_signed(
            self.stanza,
            self.encrypting,
            self.sealing.signer,
            sender=self.sender,
            recipient=self.recipient,
            moment=self.moment,
            certificates=self.sealing.certificates,
            random=self.random,
        )


def objenc_recipient(keys: Sequence[PeerKey]) -> ParsedCertificate | None:
    """Return the certificate that draft-miller-3923bis-02 encrypts to: the first one with an RSA key, or None."""
    certificates = (key.certificate for key in keys)
    return next((each for each in certificates if isinstance(each.public_key, rsa.RSAPublicKey)), None)


def objenc_sealing(keys: Sequence[PeerKey], cipher: ContentCipher | None) -> objenc.Sealing:
    """Return to whom draft-miller-3923bis-02 encrypts: one certificate with an RSA key, the first one (ERRATA B24).

    Raises `NoCertificateError` where there is none. A copy to ourselves can't be made.
    """
    certificate = objenc_recipient(keys)
    if certificate is None:
        raise NoCertificateError(
            "this format needs an RSA key, and no usable certificate of the recipient has one"
        )
    return objenc.Sealing(certificate, cipher or AES128_CBC)
