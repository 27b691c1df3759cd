"""`slixmpp-e2e keygen`, `request` and `bundle`: one's own key and what certifies it."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from slixmpp_e2e.certificates.encryption_request import encryption_request
from slixmpp_e2e.certificates.issue import (
    DEFAULT_DAYS,
    CertificationAuthority,
    certificate_request,
    issue_certificate,
    self_signed_certificate,
)
from slixmpp_e2e.certificates.keys import DEFAULT_KEY_ALGORITHM, KEY_ALGORITHMS, generate_key
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cli import arguments as shared
from slixmpp_e2e.cli.arguments import Subparsers, file_stem, read_password, shown
from slixmpp_e2e.cli.encoding import (
    encode_bundle,
    encode_certificates,
    encode_key,
    fingerprint,
    load_certificates,
    load_key,
)
from slixmpp_e2e.cli.files import require_absent, write_file
from slixmpp_e2e.errors import CertificateError, ConfigurationError

#: The kind of key that signs only, and what the files of the key that goes with it are called.
_SIGNS_ONLY: Final = "ed25519"
_SECOND: Final = ".encryption"
_ALGORITHM_HELP = (
    f"the kind of key (default: {DEFAULT_KEY_ALGORITHM}: every S/MIME program reads it, and what was encrypted to "
    "it may be kept for long). p-256 is several times as fast and makes smaller stanzas. An ed25519 key can't "
    "decrypt: a second one, X25519, is made for that, with a certificate of its own"
)


def add_commands(subparsers: Subparsers) -> None:
    """Add `keygen`, `request` and `bundle`."""
    keygen = subparsers.add_parser("keygen", help="make a key and a self-signed certificate")
    _add_key_options(keygen)
    keygen.add_argument(
        "--days", type=shared.days, default=DEFAULT_DAYS, help="how long it is valid (default: %(default)s)"
    )
    keygen.add_argument(
        "--pkcs12",
        action="store_true",
        help="write key and certificate into one PKCS #12 file; needs a password",
    )
    keygen.set_defaults(run=_keygen)

    request = subparsers.add_parser("request", help="make a key and a request for a CA to certify it")
    _add_key_options(request)
    request.set_defaults(run=_request)

    bundle = subparsers.add_parser(
        "bundle", help="put a key, its certificate and the chain into one PKCS #12 file"
    )
    bundle.add_argument("key", type=Path, metavar="KEY", help="the private key, in PEM")
    bundle.add_argument(
        "certificate", type=Path, metavar="CERTIFICATE", help="its certificate, and the chain"
    )
    shared.add_output_options(bundle)
    shared.add_password_options(bundle, purpose="of the PKCS #12 file, and of the key if it is encrypted")
    bundle.set_defaults(run=_bundle)


def _add_key_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jid", type=shared.jid, metavar="JID", help="the address that the certificate names")
    parser.add_argument(
        "--algorithm", choices=KEY_ALGORITHMS, default=DEFAULT_KEY_ALGORITHM, help=_ALGORITHM_HELP
    )
    shared.add_output_options(parser)
    shared.add_password_options(parser, purpose="that encrypts the key; take a long one, guessing is cheap")


def _keygen(arguments: argparse.Namespace) -> int:
    jid, out, force = arguments.jid, arguments.out, arguments.force
    stem = file_stem(jid)
    certificate_file = out / f"{stem}.crt"
    secret_file = out / f"{stem}{'.p12' if arguments.pkcs12 else '.key'}"
    second_key_file, second_file = out / f"{stem}{_SECOND}.key", out / f"{stem}{_SECOND}.crt"
    paired = [second_key_file, second_file] if arguments.algorithm == _SIGNS_ONLY else []
    require_absent([secret_file, certificate_file, *paired], force=force)
    password = read_password(arguments, new=True)
    if arguments.pkcs12 and password is None:
        raise ConfigurationError("A PKCS #12 file needs a password: --password-file or --ask-password.")

    private_key, now = generate_key(arguments.algorithm), datetime.now(UTC)
    certificate = self_signed_certificate(private_key, [jid], now=now, days=arguments.days)
    if arguments.pkcs12 and password is not None:
        secret = encode_bundle(private_key, certificate, [], name=jid, password=password)
    else:
        secret = encode_key(private_key, password)
    write_file(secret_file, secret, private=True, force=force)
    write_file(certificate_file, encode_certificates([certificate]), private=False, force=force)
    contents = "private key and certificate" if arguments.pkcs12 else "private key"
    print(f"{secret_file}: {contents}, {_protection(arguments.algorithm, password)}.")
    _describe(certificate_file, certificate, f"self-signed certificate for {shown(jid)}")

    if isinstance(private_key, ed25519.Ed25519PrivateKey):
        request = _second_key(second_key_file, jid, private_key, certificate.subject, password, force=force)
        # nobody but the first key is there to sign the second certificate; peers pin both
        itself = CertificationAuthority(certificate, private_key)
        second = issue_certificate(
            request, authority=itself, now=now, days=arguments.days, signed_by=private_key.public_key()
        )
        write_file(second_file, encode_certificates([second]), private=False, force=force)
        _describe(second_file, second, "its certificate, signed with the first key")
    public = " and ".join(each.name for each in (certificate_file, *paired[1:]))
    print(f"Next: name all files in the plugin's options, and give {public} to your peers,")
    print("  who pin what they have compared the fingerprint of with you.")
    return 0


def _request(arguments: argparse.Namespace) -> int:
    jid, out, force = arguments.jid, arguments.out, arguments.force
    stem = file_stem(jid)
    key_file, request_file = out / f"{stem}.key", out / f"{stem}.csr"
    second_key_file = out / f"{stem}{_SECOND}.key"
    paired = [second_key_file] if arguments.algorithm == _SIGNS_ONLY else []
    require_absent([key_file, request_file, *paired], force=force)
    password = read_password(arguments, new=True)

    private_key = generate_key(arguments.algorithm)
    requests = [certificate_request(private_key, [jid])]
    write_file(key_file, encode_key(private_key, password), private=True, force=force)
    print(f"{key_file}: private key, {_protection(arguments.algorithm, password)}.")
    if isinstance(private_key, ed25519.Ed25519PrivateKey):
        subject = requests[0].subject
        requests.append(_second_key(second_key_file, jid, private_key, subject, password, force=force))
    write_file(request_file, encode_certificates(requests), private=False, force=force)
    wanted = "a certificate" if not paired else "two certificates, one for each key,"
    print(f"{request_file}: request for {wanted} for {shown(jid)}.")
    print(f"Next: send {request_file.name} to your CA, or sign it: slixmpp-e2e sign {request_file} --ca DIR")
    return 0


def _second_key(
    path: Path,
    jid: str,
    signing_key: ed25519.Ed25519PrivateKey,
    subject: x509.Name,
    password: bytes | None,
    *,
    force: bool,
) -> x509.CertificateSigningRequest:
    """Make the key that decrypts where the first one can't, write it, and return the request for it."""
    key = x25519.X25519PrivateKey.generate()
    write_file(path, encode_key(key, password), private=True, force=force)
    print(f"{path}: private key for decryption, {_protection('x25519', password)}.")
    return encryption_request(key.public_key(), [jid], subject=subject, signing_key=signing_key)


def _describe(path: Path, certificate: x509.Certificate, what: str) -> None:
    print(f"{path}: {what},")
    print(f"  valid until {certificate.not_valid_after_utc:%Y-%m-%d}, SHA-256 {fingerprint(certificate)}")


def _bundle(arguments: argparse.Namespace) -> int:
    certificate, *chain = load_certificates(arguments.certificate)
    bundle_file = (
        arguments.out / f"{arguments.certificate.name.removesuffix('.crt').removesuffix('.chain')}.p12"
    )
    require_absent([bundle_file], force=arguments.force)
    password = read_password(arguments, new=True)
    if password is None:
        raise ConfigurationError("A PKCS #12 file needs a password: --password-file or --ask-password.")
    private_key = load_key(arguments.key, password)
    if private_key.public_key() != certificate.public_key():
        raise CertificateError(
            f"{arguments.key} is not the key of the first certificate in {arguments.certificate}."
        )
    names = sorted(certificate_jids(certificate))
    secret = encode_bundle(private_key, certificate, chain, name=" ".join(names), password=password)
    write_file(bundle_file, secret, private=True, force=arguments.force)

    jids = ", ".join(shown(name) for name in names) or "no JID"
    print(f"{bundle_file}: private key, certificate for {jids}, and {len(chain)} more.")
    print("Next: name it in the plugin's options, with its password.")
    return 0


def _protection(algorithm: str, password: bytes | None) -> str:
    encrypted = "encrypted with the password" if password is not None else "not encrypted"
    return f"{algorithm}, {encrypted}, readable by its owner only"
