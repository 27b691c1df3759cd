"""Checks of what is ours: that key and certificate belong together, both certificates, who can read the files."""

import os
import shlex
import stat
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from slixmpp_e2e.certificates.identity import EncryptionIdentity, Identity
from slixmpp_e2e.certificates.path import Purpose
from slixmpp_e2e.cli.doctor.authorities import Authorities
from slixmpp_e2e.cli.doctor.certificate import check_key, check_names, check_use, check_validity
from slixmpp_e2e.cli.doctor.findings import Findings
from slixmpp_e2e.cli.doctor.own_path import check_path
from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.plugin.files import read_all
from slixmpp_e2e.plugin.own_keys import is_file, load_identity

_SECRETS = ("private_key", "encryption_private_key", "pkcs12")


def check_own(
    findings: Findings,
    config: Mapping[str, Any],
    *,
    jid: str | None,
    authorities: Authorities,
    now: datetime,
) -> Identity | None:
    """Check keys and certificates; return the identity that they make, or None.

    Where they make none, what can be read of the certificate is checked all the same.
    """
    for secret in (*(config[option] for option in _SECRETS), *(config["older_keys"] or ())):
        if is_file(secret):
            check_permissions(findings, Path(secret))
    try:
        identity = load_identity(config)
    except ConfigurationError as error:
        findings.error(
            "key and certificate",
            error.diagnostics(),
            "See what is in the files with `slixmpp-e2e show FILE`; an encrypted key, or a PKCS #12 file, needs "
            "--password-file or --ask-password.",
        )
        _check_unowned(findings, config, jid=jid, now=now)
        return None
    findings.ok("key and certificate", "they belong together")
    chains: list[tuple[str, EncryptionIdentity, list[Purpose]]] = []
    if identity.encryption is None:
        chains.append(("certificate", identity, ["sign", "encrypt"] if identity.recipient else ["sign"]))
    else:
        chains.append(("certificate", identity, ["sign"]))
        chains.append(("encryption certificate", identity.encryption, ["encrypt"]))
    for subject, each, purposes in chains:
        own = each.certificate.certificate
        check_names(findings, subject, own, jid)
        check_use(findings, subject, own, purposes)
        check_key(findings, subject, own)
        if check_validity(findings, subject, own, now):
            chain = [own, *(above.certificate for above in each.chain)]
            check_path(findings, subject, chain, authorities, now)
    if identity.recipient is None:
        findings.warning(
            "encryption certificate",
            "there is none, and nobody can encrypt to the key of the other one",
            "Set encryption_certificate and encryption_private_key: with --algorithm ed25519, `slixmpp-e2e keygen` "
            "and `request` make such a second key.",
        )
    return identity


def _check_unowned(findings: Findings, config: Mapping[str, Any], *, jid: str | None, now: datetime) -> None:
    try:
        found = read_all(config["certificate"], "certificate")
    except ConfigurationError:
        return  # that was said already
    if found:
        check_names(findings, "certificate", found[0], jid)
        check_validity(findings, "certificate", found[0], now)


def check_permissions(findings: Findings, path: Path, *, mended: bool = False) -> None:
    """Check that nobody but its owner can read a file, or put another one into its place.

    A group that may read it is a warning, as is everything that the plugin mends itself (`mended`). Not checked
    where there are no POSIX permissions.
    """
    if os.name != "posix" or not path.exists():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    advice = f"chmod 600 {shlex.quote(str(path))}"
    if mode & 0o077:
        is_minor = mended or not mode & 0o037
        text = f"other users can read or change it (mode {mode:04o})"
        (findings.warning if is_minor else findings.error)(str(path), text, advice)
    else:
        findings.ok(str(path), "only its owner can read it")
    directory = path.absolute().parent
    around = directory.stat().st_mode
    if around & 0o022 and not around & stat.S_ISVTX:
        findings.warning(
            str(path),
            f"other users can replace it: they can write to {directory}",
            f"chmod go-w {shlex.quote(str(directory))}",
        )
