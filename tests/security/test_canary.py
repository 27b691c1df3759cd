"""Nothing that is to be protected gets anywhere else, whatever goes wrong (ARCHITECTURE invariant 1).

`E2E_CANARIES` is the number of sends with RFC 3923, half of them with a slow key; half as many more are in the other
format. `make canary` makes 10,000 and 5,000.
"""

import logging
import os
import random
import tempfile
from pathlib import Path

import pytest

from tests.security.canary import Log, is_in, plan, stage
from tests.security.faults import ALWAYS_FAIL, CANARY
from tests.server.clients import round_trip
from tests.server.protected import PKI, make_pki
from tests.written import RFC3923, SIGNED_INSIDE

SENDS = int(os.environ.get("E2E_CANARIES", "320"))
#: After so many it is searched, and what was searched is forgotten.
AT_ONCE = 200
HEARD = {"arrived", "answered", "error reply arrived", "e2e_send_failed", "cancelled"}
RAISED = {"IqError", "LocalError", "OSError", "RuntimeError", "StoreError", "NoCertificateError"}
RAISED |= {"InvalidStanzaError", "TooLargeError", "CertificateError"}
#: Juliet gets an answer in any case: of what went wrong she learns nothing.
FINE = {"arrived", "answered", "error reply arrived"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize(
    ("is_slow", "written"),
    [(False, RFC3923), (True, RFC3923), (False, SIGNED_INSIDE)],
    ids=["key at hand", "key in a thread of its own", "in the other format"],
)
@pytest.mark.timeout(0 if SENDS > 1000 else 120)
async def test_no_canary_gets_out_and_every_failure_is_heard_of(
    pki, tmp_path: Path, monkeypatch, is_slow, written
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    seed = int(os.environ.get("E2E_SEED", random.SystemRandom().randrange(10**6)))
    print(f"seed {seed}")
    async with stage(pki, tmp_path, is_slow=is_slow, seed=seed, written=written) as acting:
        for number, (kind, fault) in enumerate(plan(SENDS // 2, random.Random(seed)), start=1):
            outcome = await acting.send(kind, fault)
            assert outcome in HEARD | RAISED, (kind, fault, outcome)
            if fault in ALWAYS_FAIL:
                assert outcome not in FINE, (kind, fault, outcome)
            elif fault == "nothing":
                assert outcome in FINE or (outcome == "IqError" and kind.startswith("iq")), (kind, outcome)
            if number % AT_ONCE == 0:
                acting.search()
        acting.search()
        assert {outcome for kind, fault, outcome in acting.outcomes if fault == "nothing"} >= FINE
        assert acting.hits == []
        assert acting.searched.keys() == {"wire", "disk", "log"}
        sends = sum(acting.outcomes.values())
        failed = sum(count for (_, _, outcome), count in acting.outcomes.items() if outcome not in FINE)
        print(
            f"canary: {sends:,} sends, {failed:,} failed and all of them were heard of; "
            + ", ".join(f"{octets / 1e6:,.1f} MB of {place}" for place, octets in acting.searched.items())
            + f" searched; {len(acting.hits)} hits"
        )


async def test_a_canary_that_does_get_out_is_found(pki, tmp_path: Path):
    """Of the harness: it notices."""
    async with stage(pki, tmp_path, is_slow=False, seed=0) as acting:
        message = acting.romeo.make_message("juliet@localhost", acting.word())
        acting.romeo.plugin["e2e"].override(message, "off")
        message.send()
        await round_trip(acting.romeo)
        (tmp_path / "a temporary file").write_text(acting.word())
        logging.getLogger("slixmpp_e2e").warning("not sent: %s", message)
        acting.search()
        assert {hit.partition(",")[0].partition(":")[0] for hit in acting.hits} == {"wire", "disk", "log"}


@pytest.mark.parametrize("prefix", ["", "x", "xy", "xyz"])
def test_a_canary_is_found_in_whatever_form_it_has(prefix):
    import base64

    text = f"{prefix}{CANARY} sings"
    octets = text.encode()
    for form in (octets, octets.hex().encode(), text.encode("utf-16"), base64.b64encode(octets * 9)):
        assert is_in(b"something before " + form)
    assert is_in(base64.encodebytes(octets * 20))
    assert not is_in(octets.lower())


def test_what_is_logged_with_an_exception_is_seen():
    log = Log()
    try:
        raise ValueError(CANARY)
    except ValueError:
        log.emit(logging.makeLogRecord({"msg": "x", "exc_info": __import__("sys").exc_info()}))
    assert CANARY in log.lines[0]
