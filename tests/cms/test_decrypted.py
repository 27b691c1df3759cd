"""`Decrypted`: where content ends is asked last, and padding is exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES128_GCM
from slixmpp_e2e.cms.enveloped_data import Decrypted
from tests.pki import Entity

_WHITE_SPACE = st.text(" \t\r\n", max_size=40).map(str.encode)
#: Octets that mean something as padding, as white space (9, 10 and 13 do both) or as neither.
_TELLING_OCTETS = st.sampled_from([*range(18), 32, 120, 255])


@pytest.fixture(scope="module")
def made(romeo: Entity):
    certificate = romeo.parsed

    def make(plaintext: bytes, *, authenticated: bool = False) -> Decrypted:
        return Decrypted(plaintext, AES128_GCM if authenticated else AES128_CBC, "rsa-pkcs1", certificate)

    return make


def _padded(content: bytes) -> bytes:
    fill = 16 - len(content) % 16
    return content + bytes((fill,)) * fill


def _ends(plaintext: bytes, end: int) -> bool:
    """Say it another way: some white space, then between 1 and 16 octets that are their own number."""
    return any(
        plaintext[-fill:] == bytes((fill,)) * fill
        and end <= len(plaintext) - fill
        and all(octet in b" \t\r\n" for octet in plaintext[end : len(plaintext) - fill])
        for fill in [plaintext[-1]]
        if 1 <= fill <= 16
    )


@given(content=st.binary(max_size=60), space=_WHITE_SPACE)
def test_content_ends_before_white_space_and_padding(made, content: bytes, space: bytes) -> None:
    assert made(_padded(content + space)).ends_at(len(content))
    assert made(content + space, authenticated=True).ends_at(len(content))


@given(data=st.data())
def test_it_agrees_with_the_definition_everywhere(made, data: st.DataObject) -> None:
    size = 16 * data.draw(st.integers(1, 3))
    plaintext = bytes(data.draw(st.lists(_TELLING_OCTETS, min_size=size, max_size=size)))
    tail = data.draw(st.integers(0, 17))
    plaintext = plaintext[: size - tail] + bytes((tail,)) * tail  # else padding would hardly ever be right
    for end in range(size + 2):
        assert made(plaintext).ends_at(end) == _ends(plaintext, end)


@given(content=st.binary(max_size=60), data=st.data())
def test_any_other_octet_of_the_padding_is_refused(made, content: bytes, data: st.DataObject) -> None:
    plaintext = bytearray(_padded(content))
    at = data.draw(st.integers(len(content), len(plaintext) - 1))
    plaintext[at] ^= data.draw(st.integers(1, 255))
    if _ends(bytes(plaintext), len(content)):  # such as 02 02 that became 02 01 behind a new line
        assert bytes(plaintext[len(content) :]).lstrip(b" \t\r\n") != b""
    else:
        assert not made(bytes(plaintext)).ends_at(len(content))


@given(content=st.binary(max_size=60), more=st.binary(min_size=1, max_size=20))
def test_nothing_else_may_follow(made, content: bytes, more: bytes) -> None:
    nothing_but_space = not more.strip(b" \t\r\n")
    assert made(_padded(content + more)).ends_at(len(content)) == nothing_but_space
    assert made(content + more, authenticated=True).ends_at(len(content)) == nothing_but_space


@given(content=st.binary(max_size=60))
def test_content_does_not_end_inside_or_behind_the_padding(made, content: bytes) -> None:
    plaintext = _padded(content)
    for end in range(len(content) + 1, len(plaintext) + 3):
        assert not made(plaintext).ends_at(end)


def test_authenticated_content_has_no_padding_to_forgive(made) -> None:
    assert not made(_padded(b"four"), authenticated=True).ends_at(4)
    assert made(b"", authenticated=True).ends_at(0)
    assert not made(b"", authenticated=True).ends_at(1)


@given(content=st.binary(max_size=60))
def test_padding_is_taken_off_where_nothing_else_says_where_content_ends(made, content: bytes) -> None:
    assert made(_padded(content)).without_padding() == content
    assert made(content, authenticated=True).without_padding() == content


@given(blocks=st.binary(min_size=16, max_size=16))
def test_wrong_padding_leaves_nothing(made, blocks: bytes) -> None:
    found = made(blocks).without_padding()
    assert (found is None) == (not 1 <= blocks[-1] <= 16 or len(set(blocks[-blocks[-1] :])) != 1)
    assert found is None or made(blocks).ends_at(len(found))


@pytest.mark.parametrize("last", [0, 17, 32, 255])
def test_padding_is_of_1_to_16_octets(made, last: int) -> None:
    assert made(bytes((last,)) * 32).without_padding() is None
    assert not made(bytes((last,)) * 32).ends_at(0)
