"""One tree of errors.

`LocalError`: our side; nothing was sent. `RemoteError`: a stanza that arrived; it carries the stanza error
that would answer it. Each class has a stable `code` for programs and `diagnostics()` for people. What crosses
the network is uniform (`answer`); what the local program and the log get is exact (`code`, the text), but that the
log gets nothing which may have been encrypted (`summary()`).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self


class E2EError(Exception):
    """Anything that this package raises on purpose."""

    code: ClassVar[str] = "error"
    advice: ClassVar[str] = ""
    #: Words of the stanza that the error is about; they may have been encrypted, so no log has them.
    quoted: str = ""

    @property
    def reason(self) -> str:
        """The stable word for what went wrong; finer than the class where the class has several."""
        return self.code

    def quote(self, words: str) -> Self:
        """Let the error say which words of a stanza it is about, and return it."""
        self.quoted = words[:60]
        return self

    def summary(self) -> str:
        """Say what happened and what a person can do about it, without words of a stanza: for logs."""
        return ". ".join(part for part in (str(self) or self.code, self.advice) if part)

    def diagnostics(self) -> str:
        """Say what happened and what a person can do about it."""
        if not self.quoted:
            return self.summary()
        return ". ".join(part for part in (f"{self}: {self.quoted!a}", self.advice) if part)


# --------------------------------------------------------------------------- our side


class LocalError(E2EError):
    """Something on our side; nothing was sent."""

    code = "local-error"


class ConfigurationError(LocalError):
    """The options, a file named by them, or their combination can't be used."""

    code = "configuration"


class CertificateError(LocalError):
    """A certificate or key can't do what it is asked to do."""

    code = "certificate"


class RevocationError(LocalError):
    """What says whether certificates were revoked can't be had, or can't be used."""

    code = "revocation"


class NoCertificateError(LocalError):
    """There is no usable certificate of the recipient."""

    code = "no-certificate"
    advice = "Put the recipient's certificate into the peer_certificates directory, or pin it."


class UnprotectableError(LocalError):
    """A stanza that may never be protected (RFC 3923 2: rooms, broadcast presence, subscriptions)."""

    code = "unprotectable"


class TooLargeError(LocalError):
    """The protected stanza would be larger than servers accept."""

    code = "too-large"
    advice = "Send less in one stanza, or raise max_stanza_size if every server on the way allows it."


class InvalidStanzaError(LocalError):
    """The program's own stanza can't be written as XML."""

    code = "invalid-stanza"


class StoreError(LocalError):
    """What keeps pins, certificates and replay records can't be read or written."""

    code = "store"
    #: It was asked because something was decrypted, of which nobody may learn that it was.
    concealed = False


class UnconfirmedError(LocalError):
    """The stream ended before the server confirmed the stanza: it may or may not have arrived."""

    code = "unconfirmed"


class PublicationError(LocalError):
    """Our certificates could not be published."""

    code = "publication"
    advice = "The account's server needs PEP (XEP-0163) with publish options and persistent items."


# --------------------------------------------------------------------------- what arrived


@dataclass(frozen=True, slots=True)
class StanzaErrorAnswer:
    """The stanza error that answers a failure (RFC 6120 8.3, RFC 3923 7)."""

    condition: str
    application: str | None
    type: str = "modify"


#: RFC 3923 7, case 5.
DECRYPTION_FAILED = StanzaErrorAnswer("bad-request", "decryption-failed")
#: RFC 3923 7, case 4.
UNVERIFIED_SIGNATURE = StanzaErrorAnswer("not-acceptable", "unverified-signature")
#: RFC 3923 7, case 3.
BAD_TIMESTAMP = StanzaErrorAnswer("not-acceptable", "bad-timestamp")
#: A format that is not read here: RFC 3923 7, case 1.
NOT_UNDERSTOOD = StanzaErrorAnswer("service-unavailable", None, "cancel")
#: Understood and verified, but not to be processed (RFC 3862 4.7 and the like).
NOT_ACCEPTABLE = StanzaErrorAnswer("not-acceptable", None)


class RemoteError(E2EError):
    """A stanza that arrived and was refused; `answer` is what the sender may be told."""

    code = "refused"
    default_answer: ClassVar[StanzaErrorAnswer] = NOT_ACCEPTABLE

    def __init__(self, detail: str = "", *, reason: str | None = None) -> None:
        super().__init__(detail or reason or self.code)
        self._reason = reason
        self.answer = self.default_answer
        #: It depends on what an envelope held: nobody may learn more than that it failed.
        self.concealed = False
        #: Nobody may be told anything, not even that it failed; an iq is answered all the same.
        self.silent = False

    def conceal(self) -> None:
        """Make the answer the one that every failure inside an envelope has (ERRATA E31)."""
        self.answer = DECRYPTION_FAILED
        self.concealed = True

    @property
    def reason(self) -> str:
        """The stable word for what went wrong."""
        return self._reason or self.code


class MalformedError(RemoteError):
    """The object, or what stands in it, is not what its format demands."""

    code = "malformed"
    default_answer = DECRYPTION_FAILED


class UndecryptableError(RemoteError):
    """The object can't be decrypted: `reason` is `decryption-failed`, or `not-for-us`, which everybody can see."""

    code = "decryption-failed"
    default_answer = DECRYPTION_FAILED


class SignatureError(RemoteError):
    """There is no signature that proves who sent this.

    `reason` is one of `invalid`, `malformed`, `unknown-signer`, `untrusted`, `certificate-changed`,
    `name-mismatch`, `weak`, `unsigned`, `other-recipient` (RFC 3923 6.7, ERRATA E39). `name-mismatch` and
    `other-recipient` are also said of addresses that can't be compared.
    """

    code = "unverified-signature"
    default_answer = UNVERIFIED_SIGNATURE


class TimestampError(RemoteError):
    """The timestamp forbids delivery (RFC 3923 6.9).

    `reason` is `old`, `future`, `seen`, `missing`, or, of presence that would undo a later one, `decreasing`.
    """

    code = "bad-timestamp"
    default_answer = BAD_TIMESTAMP

    def __init__(self, detail: str = "", *, reason: str, skew: float | None = None) -> None:
        super().__init__(detail, reason=reason)
        #: The stanza and what was proven about it, where it was authenticated all the same; else None.
        self.stale: tuple[Any, Any] | None = None
        #: Seconds from the time that it was compared with to the timestamp; negative: it is older. None where
        #: the timestamp was never read: nothing says when, or an encrypted key that came before.
        self.skew = skew


class RefusedError(RemoteError):
    """Not something that may be processed.

    `reason` is `unprotected` (in clear, where a policy or a request forbids it), `unsupported` (a content type, a
    charset, a required feature) or `refused`.
    """

    code = "refused"


class CertificatesOnlyError(RemoteError):
    """There is no stanza in it, only certificates (RFC 3851 3.7); nothing says that they are good."""

    code = "certificates-only"

    def __init__(self, certificates: tuple[bytes, ...]) -> None:
        super().__init__("it holds certificates and nothing else")
        self.certificates = certificates
        #: Some of them were the sender's, trusted, and not known before.
        self.learned = False
        self.silent = True
