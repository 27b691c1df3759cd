"""The known attacks on what encrypted mail decrypts, against a live client over a real server: `make oracle`.

`scene` has the victim and the attackers, `attacks` what they do, `weak` receivers that make a mistake (there every
attack must succeed, or it would prove nothing), `ways` the ways to a second answer, `clocked` the clock.
"""
