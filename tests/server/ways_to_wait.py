"""What the plugin may have to wait for, so that a test can be done each way: nothing, slow keys, a shared store."""

import os
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.patience import SlowKey, WaitedFor

from .protected import PKI

#: With E2E_EVERY_WAY in the environment also each on its own.
HOWS: Final = (
    ("at once", "slow keys", "shared store", "slow keys and shared store")
    if os.environ.get("E2E_EVERY_WAY")
    else ("at once", "slow keys and shared store")
)


def waiting(pki: PKI, name: str, how: str) -> dict[str, Any]:
    """Return options of the protection for somebody, by the name of the account."""
    options: dict[str, Any] = {}
    if "slow keys" in how:
        pem = (pki.directory / f"{name}.key").read_bytes()
        options["private_key"] = SlowKey(load_pem_private_key(pem, None), 0.002)
    if "shared store" in how:
        options["store"] = WaitedFor()
    return options
