"""Options that can't work are said, with their name, before anything is sent."""

from base64 import b64decode

import pytest

from slixmpp_e2e import ConfigurationError
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from tests.server.protected import make_pki

ANCHORS = object()


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


def complaint(options) -> str:
    with pytest.raises(ConfigurationError) as caught:
        build_protection({**DEFAULTS, **options})
    return str(caught.value)


@pytest.mark.parametrize(
    "option",
    [name for name, value in DEFAULTS.items() if isinstance(value, bool)],
)
@pytest.mark.parametrize("value", ["no", 0, None], ids=repr)
def test_a_switch_is_true_or_false_and_no_word_that_would_count_as_true(pki, option, value):
    assert complaint(pki.options("romeo", **{option: value})) == f"{option} can't be {value!r}"


@pytest.mark.parametrize(
    ("option", "value"),
    [(option, value) for option in ("window", "max_stanza_size") for value in (0, -1, True, 1.5)]
    + [("certificate_wait", value) for value in (-1, -0.5, True, float("nan"), "5")],
)
def test_a_number_that_nothing_could_keep_is_refused(pki, option, value):
    assert complaint(pki.options("romeo", **{option: value})) == f"{option} can't be {value!r}"


@pytest.mark.parametrize("option", ["trust_anchors", "intermediates", "pins", "peer_certificates"])
def test_a_list_of_files_holds_paths_only(pki, option):
    assert complaint(pki.options("romeo", **{option: [5]})) == f"{option} can't be 5"


@pytest.mark.parametrize(
    ("pins", "words"),
    [
        ({"a@b@c": ANCHORS}, "'a@b@c' is no JID"),
        ({5: ANCHORS}, "5 is no JID"),
        ({"juliet@localhost": None}, "no certificate for juliet@localhost"),
        ({"juliet@localhost": 5}, "can't be 5"),
        ({"juliet@localhost": "nowhere.crt"}, "there is no nowhere.crt"),
    ],
)
def test_pins_by_jid_name_people_and_files(pki, pins, words):
    pins = {jid: pki.anchors if files is ANCHORS else files for jid, files in pins.items()}
    complained = complaint(pki.options("romeo", pins=pins))
    assert complained.startswith("pins")
    assert words in complained


@pytest.mark.parametrize(
    "option", ["trust_anchors", "intermediates", "pins", "peer_certificates", "certificate"]
)
def test_a_certificate_of_an_unknown_version_is_a_clear_error(pki, tmp_path, option):
    der = bytes.fromhex("a003020102")
    known = pki.anchors.read_bytes()
    unknown = tmp_path / "v2.crt"
    unknown.write_bytes(_der(known).replace(der, bytes.fromhex("a003020101"), 1))
    complained = complaint(pki.options("romeo", **{option: unknown}))
    assert str(unknown) in complained
    assert "not a certificate in PEM or DER" in complained


def _der(pem: bytes) -> bytes:
    return b64decode(b"".join(pem.strip().splitlines()[1:-1]))
