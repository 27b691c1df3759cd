"""Asks for what the tests of a session share, so that it is there before the first mutant."""


def test_everybody_is_there(pki, juliet, romeo):
    assert juliet.certificate != romeo.certificate
