"""Private keys: which kinds there are, what they are called, and which of them may do what."""

from typing import Any, Final, Literal, TypeAlias, get_args

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from slixmpp_e2e.errors import CertificateError

KeyAlgorithm: TypeAlias = Literal["rsa-2048", "rsa-3072", "p-256", "p-384", "ed25519"]
AuthorityKeyAlgorithm: TypeAlias = Literal["rsa-3072", "p-256"]
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
#: Those that sign, and the one that only decrypts.
SubjectKey: TypeAlias = PublicKey | x25519.X25519PublicKey

KEY_ALGORITHMS: Final[tuple[KeyAlgorithm, ...]] = get_args(KeyAlgorithm)
#: Path validation in cryptography refuses certificates issued with an Ed25519 key.
AUTHORITY_KEY_ALGORITHMS: Final[tuple[AuthorityKeyAlgorithm, ...]] = get_args(AuthorityKeyAlgorithm)

#: About 128 bits of security, for content that may be kept for long; RFC 8551 obliges every S/MIME program to
#: read it. A key of 2048 bits signs about three times as fast and makes smaller stanzas.
DEFAULT_KEY_ALGORITHM: Final[KeyAlgorithm] = "rsa-3072"
#: Above this, one RSA operation takes several milliseconds.
_MOST_RSA_BITS: Final = 3072


def generate_key(algorithm: KeyAlgorithm = DEFAULT_KEY_ALGORITHM) -> PrivateKey:
    """Make a private key. Raises `CertificateError` for an algorithm that is not in `KEY_ALGORITHMS`."""
    match algorithm:
        case "rsa-2048" | "rsa-3072":
            return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm[4:]))
        case "p-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    raise CertificateError(f"Unknown key algorithm {algorithm!a}; known are {', '.join(KEY_ALGORITHMS)}.")


def key_algorithm(public_key: PublicKeyTypes) -> str:
    """Name a key as in `KEY_ALGORITHMS`; other sizes and kinds get a name of the same form."""
    match public_key:
        case rsa.RSAPublicKey():
            return f"rsa-{public_key.key_size}"
        case ec.EllipticCurvePublicKey():
            curve = public_key.curve.name
            return {"secp256r1": "p-256", "secp384r1": "p-384"}.get(curve, curve)
        case ed25519.Ed25519PublicKey():
            return "ed25519"
    return type(public_key).__name__.lower().removesuffix("publickey")


def subject_key(public_key: PublicKeyTypes) -> SubjectKey:
    """Let pass the keys that an end entity may have: those every S/MIME program reads (RFC 8550 4.3).

    Raises `CertificateError` for any other, which says what is wrong with it.
    """
    match public_key:
        case rsa.RSAPublicKey() if not 2048 <= public_key.key_size <= 4096:
            raise CertificateError(f"an RSA key of {public_key.key_size} bits; 2048 to 4096 are used")
        case rsa.RSAPublicKey() if public_key.public_numbers().e < 65537:
            raise CertificateError("an RSA key with a public exponent below 65537")
        case ec.EllipticCurvePublicKey() if not isinstance(public_key.curve, ec.SECP256R1 | ec.SECP384R1):
            raise CertificateError(f"a key on the curve {public_key.curve.name}; P-256 and P-384 are used")
        case (
            rsa.RSAPublicKey()
            | ec.EllipticCurvePublicKey()
            | ed25519.Ed25519PublicKey()
            | x25519.X25519PublicKey()
        ):
            return public_key
    raise CertificateError(
        f"a key of the kind {key_algorithm(public_key)}; RSA, P-256, P-384, Ed25519 and X25519 are used"
    )


def authority_key(public_key: PublicKey) -> PublicKey:
    """Let pass the keys of certification authorities; raises `CertificateError` for any other."""
    algorithm = key_algorithm(public_key)
    if algorithm not in AUTHORITY_KEY_ALGORITHMS:
        known = " or ".join(AUTHORITY_KEY_ALGORITHMS)
        raise CertificateError(f"A certification authority needs a key of the kind {known}, not {algorithm}.")
    return public_key


def signature_hash(private_key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """Return the hash that a key signs certificates with; None for Ed25519, which brings its own."""
    match private_key:
        case ed25519.Ed25519PrivateKey():
            return None
        case ec.EllipticCurvePrivateKey() if private_key.key_size > 256:
            return hashes.SHA384()
    return hashes.SHA256()


def is_slow(private_key: Any) -> bool:
    """Tell whether using a key may take long, as in a token: then it is not done while others wait.

    A key may say so itself (`is_slow`). Of others, those of cryptography's own classes are quick, except large
    RSA keys.
    """
    said = getattr(private_key, "is_slow", None)
    if said is not None:
        return bool(said)
    if not type(private_key).__module__.startswith("cryptography."):
        return True
    return isinstance(private_key, rsa.RSAPrivateKey) and private_key.key_size > _MOST_RSA_BITS
