"""Compares our link-by-link validator with others on chains drawn at random: `python -m tests.certificates.paths`.

With the library on chains that do not constrain directory names: what it refuses must be refused. With `openssl
verify` on chains that do: both verdicts should be the same, and where they differ there is a reason.
"""

import argparse
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from slixmpp_e2e.certificates.links import MAX_DEPTH, LinkedPaths
from slixmpp_e2e.certificates.path import _check_strength, authority_policy
from slixmpp_e2e.cms.certificates import UNREADABLE
from slixmpp_e2e.errors import CertificateError
from tests.certificates.drawn_chains import Chain, Chains
from tests.pki import MOMENT


def ours(chain: Chain) -> str | None:
    """Return why our validator refuses a chain, or None; policies are not its business."""
    try:
        LinkedPaths([chain.anchor]).find(chain.leaf, chain.between, at=MOMENT, accept=_check_strength)
    except CertificateError as error:
        return str(error)
    return None


def library(chain: Chain) -> str | None:
    """Return why the library refuses a chain, or None; it is asked as `path` asks it."""
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([chain.anchor]))
        .time(MOMENT)
        .max_chain_depth(MAX_DEPTH)
        .extension_policies(
            ca_policy=authority_policy(),
            ee_policy=verification.ExtensionPolicy.permit_all(),
        )
        .build_client_verifier()
    )
    try:
        verifier.verify(chain.leaf, list(chain.between))
    except (verification.VerificationError, *UNREADABLE) as error:
        return str(error)
    return None


def openssl(chain: Chain, directory: Path) -> str | None:
    """Return why `openssl verify` refuses a chain, or None."""
    files = {"leaf": [chain.leaf], "between": chain.between or [chain.anchor], "anchor": [chain.anchor]}
    for title, certificates in files.items():
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
        (directory / title).write_bytes(pem)
    command = [
        "openssl",
        "verify",
        "-attime",
        str(int(MOMENT.timestamp())),
        "-CAfile",
        str(directory / "anchor"),
    ]
    command += ["-partial_chain", "-untrusted", str(directory / "between"), str(directory / "leaf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode == 0:
        return None
    return next((line for line in done.stderr.splitlines() if line.startswith("error")), done.stderr)


def against_the_library(chains: Chains, count: int) -> tuple[Counter[str], list[Chain]]:
    """Compare verdicts on plain chains; return how often which, and what we alone accept."""
    found: Counter[str] = Counter()
    worse = []
    for _ in range(count):
        chain = chains.plain()
        mine, theirs = ours(chain), library(chain)
        found[_verdicts(mine, theirs)] += 1
        if mine is None and theirs is not None:
            worse.append(chain)
        if mine is not None and theirs is None:
            found[f"refused by us alone: {mine}"] += 1
    return found, worse


def against_openssl(chains: Chains, count: int) -> tuple[Counter[str], list[tuple[Chain, str]]]:
    """Compare verdicts on chains that constrain directory names; return how often which, and all that differ."""
    found: Counter[str] = Counter()
    different = []
    with TemporaryDirectory() as directory:
        for _ in range(count):
            chain = chains.constrained()
            mine, theirs = ours(chain), openssl(chain, Path(directory))
            found[_verdicts(mine, theirs)] += 1
            if (mine is None) != (theirs is None):
                different.append((chain, f"ours: {mine}; OpenSSL: {theirs}"))
    return found, different


def _verdicts(mine: str | None, theirs: str | None) -> str:
    return f"{'accepted' if mine is None else 'refused'} here, {'accepted' if theirs is None else 'refused'} there"


def main() -> int:
    """Run both comparisons and print what came out."""
    warnings.simplefilter("ignore")  # of negative serial numbers
    parser = argparse.ArgumentParser(prog="python -m tests.certificates.paths")
    parser.add_argument("--plain", type=int, default=50_000, help="chains to compare with the library")
    parser.add_argument("--constrained", type=int, default=5_000, help="chains to compare with OpenSSL")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    counted, worse = against_the_library(Chains(arguments.seed), arguments.plain)
    print(f"library, {arguments.plain} chains")
    for what, count in sorted(counted.items()):
        print(f"  {count:7,}  {what}")
    for chain in worse[:20]:
        print("  WRONG", chain.spoilt)
    counted, different = against_openssl(Chains(arguments.seed), arguments.constrained)
    print(f"openssl verify, {arguments.constrained} chains")
    for what, count in sorted(counted.items()):
        print(f"  {count:7,}  {what}")
    for what, count in sorted(Counter(reason for _, reason in different).items()):
        print(f"  {count:7,}  {what}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
