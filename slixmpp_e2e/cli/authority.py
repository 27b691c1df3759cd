"""`slixmpp-e2e ca` and `sign`: a local certification authority, for tests and for a handful of people.

It keeps no list of what it issued and revokes nothing.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from slixmpp_e2e.certificates.issue import (
    DEFAULT_AUTHORITY_DAYS,
    DEFAULT_DAYS,
    CertificationAuthority,
    create_intermediate,
    create_root,
    issue_certificate,
)
from slixmpp_e2e.certificates.keys import AUTHORITY_KEY_ALGORITHMS, generate_key
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cli import arguments as shared
from slixmpp_e2e.cli.arguments import Subparsers, read_password, shown
from slixmpp_e2e.cli.encoding import (
    encode_certificates,
    encode_key,
    fingerprint,
    load_certificates,
    load_key,
    parse_requests,
)
from slixmpp_e2e.cli.files import read_file, require_absent, write_file
from slixmpp_e2e.errors import CertificateError, ConfigurationError

_ROOT: Final = "ca"
_INTERMEDIATE: Final = "intermediate"
#: What the files for the first and the second request of a file are called.
_STEMS: Final = ("", ".encryption")


def add_commands(subparsers: Subparsers) -> None:
    """Add `ca` and `sign`."""
    ca = subparsers.add_parser("ca", help="make a local certification authority, for tests")
    ca.add_argument("name", metavar="NAME", help="what the authority is called in its certificates")
    ca.add_argument(
        "--algorithm",
        choices=AUTHORITY_KEY_ALGORITHMS,
        default=AUTHORITY_KEY_ALGORITHMS[0],
        help="the kind of its keys (default: %(default)s)",
    )
    ca.add_argument(
        "--days",
        type=shared.days,
        default=DEFAULT_AUTHORITY_DAYS,
        help="how long it is valid (default: %(default)s)",
    )
    ca.add_argument(
        "--intermediate", action="store_true", help="also make a CA below the root; it signs from then on"
    )
    shared.add_output_options(ca, default=_ROOT)
    shared.add_password_options(ca, purpose="that encrypts its keys")
    ca.set_defaults(run=_ca)

    sign = subparsers.add_parser("sign", help="certify a request with a local certification authority")
    sign.add_argument(
        "request", type=Path, metavar="REQUEST", help="the request, as `slixmpp-e2e request` makes it"
    )
    sign.add_argument(
        "--ca", type=Path, required=True, metavar="DIR", help="the directory that `slixmpp-e2e ca` wrote"
    )
    sign.add_argument(
        "--jid",
        type=shared.jid,
        action="append",
        metavar="JID",
        help="certify only this address of those that the request asks for; may be repeated",
    )
    sign.add_argument(
        "--days", type=shared.days, default=DEFAULT_DAYS, help="how long it is valid (default: %(default)s)"
    )
    shared.add_output_options(sign)
    shared.add_password_options(sign, purpose="of the authority's key")
    sign.set_defaults(run=_sign)


def _ca(arguments: argparse.Namespace) -> int:
    out, force = arguments.out, arguments.force
    stems = [_ROOT, _INTERMEDIATE] if arguments.intermediate else [_ROOT]
    require_absent([out / f"{stem}{suffix}" for stem in stems for suffix in (".key", ".crt")], force=force)
    password = read_password(arguments, new=True)
    now = datetime.now(UTC)
    root = create_root(
        generate_key(arguments.algorithm),
        arguments.name,
        now=now,
        days=arguments.days,
        path_length=1 if arguments.intermediate else 0,
    )
    authorities = {_ROOT: root}
    if arguments.intermediate:
        authorities[_INTERMEDIATE] = create_intermediate(
            generate_key(arguments.algorithm),
            f"{arguments.name.encode()[:50].decode(errors='ignore').strip()} intermediate",
            root=root,
            now=now,
            days=arguments.days,
        )
    protection = "encrypted with the password" if password is not None else "not encrypted"
    for stem, authority in authorities.items():
        key_file, certificate_file = out / f"{stem}.key", out / f"{stem}.crt"
        write_file(key_file, encode_key(authority.private_key, password), private=True, force=force)
        write_file(certificate_file, encode_certificates([authority.certificate]), private=False, force=force)
        print(f"{key_file}: private key, {arguments.algorithm}, {protection}, readable by its owner only.")
        print(
            f"{certificate_file}: CA certificate, valid until {authority.certificate.not_valid_after_utc:%Y-%m-%d},"
        )
        print(f"  SHA-256 {fingerprint(authority.certificate)}")
    if not arguments.intermediate and force:  # one that another root certified would go on signing
        for suffix in (".key", ".crt"):
            (out / f"{_INTERMEDIATE}{suffix}").unlink(missing_ok=True)
    print(f"Next: slixmpp-e2e sign REQUEST --ca {out}; {out / _ROOT}.crt is the trust anchor for everybody.")
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    stem, out, force = arguments.request.stem, arguments.out, arguments.force
    requests = parse_requests(read_file(arguments.request), arguments.request)
    if len(requests) > len(_STEMS):
        raise ConfigurationError(
            f"{arguments.request}: {len(requests)} requests; there should be one or two."
        )
    has_intermediate = (arguments.ca / f"{_INTERMEDIATE}.crt").exists()
    endings = (".crt", ".chain.crt") if has_intermediate else (".crt",)
    files = [[out / f"{stem}{which}{ending}" for ending in endings] for which in _STEMS[: len(requests)]]
    require_absent([path for group in files for path in group], force=force)
    authority = _load_authority(arguments.ca, read_password(arguments, new=False), below=has_intermediate)

    issued = _issue(requests, authority, arguments)
    for certificate, (certificate_file, *chain_file) in zip(issued, files, strict=True):
        write_file(certificate_file, encode_certificates([certificate]), private=False, force=force)
        named = ", ".join(shown(name) for name in sorted(certificate_jids(certificate)))
        print(f"{certificate_file}: certificate for {named},")
        print(f"  valid until {certificate.not_valid_after_utc:%Y-%m-%d}, SHA-256 {fingerprint(certificate)}")
        for path in chain_file:
            chain = encode_certificates([certificate, *authority.intermediates])
            write_file(path, chain, private=False, force=force)
            print(f"{path}: the same, with the certificates between it and the root.")
    sent = " and ".join(group[-1].name for group in files)
    print(f"Next: send {sent} to whoever made the request: it goes into the plugin's options, with the key.")
    print(f"  Their peers name {arguments.ca / _ROOT}.crt as trust anchor.")
    return 0


def _issue(
    requests: Sequence[x509.CertificateSigningRequest],
    authority: CertificationAuthority,
    arguments: argparse.Namespace,
) -> list[x509.Certificate]:
    """Return the certificates for one or two requests; the key of the first signs for the second."""
    first, *others = requests
    now, days = datetime.now(UTC), arguments.days
    issued = [issue_certificate(first, authority=authority, now=now, days=days, jids=arguments.jid)]
    for second in others:
        signer = first.public_key()
        if not isinstance(signer, ed25519.Ed25519PublicKey):
            raise CertificateError("Only an Ed25519 key can sign the request for another key.")
        jids = certificate_jids(issued[0])
        issued.append(
            issue_certificate(second, authority=authority, now=now, days=days, jids=jids, signed_by=signer)
        )
    return issued


def _load_authority(directory: Path, password: bytes | None, *, below: bool) -> CertificationAuthority:
    stem = _INTERMEDIATE if below else _ROOT
    certificate_file, key_file = directory / f"{stem}.crt", directory / f"{stem}.key"
    certificate = load_certificates(certificate_file)[0]
    private_key = load_key(key_file, password)
    if private_key.public_key() != certificate.public_key():
        raise CertificateError(f"{key_file} is not the key of {certificate_file}.")
    issuers = (load_certificates(directory / f"{_ROOT}.crt")[0],) if below else ()
    return CertificationAuthority(certificate, private_key, issuers)
