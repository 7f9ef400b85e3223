"""Playback grants: the grants that are accepted, and each refusal."""

import hashlib
import hmac
from uuid import UUID, uuid4

import pytest

from streaming.delivery import grants
from streaming.delivery.grants import GrantBroken, GrantExpired, Grants, WrongDevice, WrongVideo

KEY = bytes(range(32))
SESSION, VIDEO = UUID(int=0x1234 << 64 | 7), UUID(int=0xABCD << 96 | 9)
AGENT, ADDRESS = "Mozilla/5.0 (X11; Linux)", "203.0.113.7"
EXPIRY = 2_000_000_000
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def mint(mode="device", *, session=SESSION, agent=AGENT, address=ADDRESS):
    return Grants(KEY, mode).mint(session.bytes, VIDEO.bytes, EXPIRY, agent, address)


def check(grant, mode="device", *, video=VIDEO, agent=AGENT, address=ADDRESS, now=EXPIRY - 1):
    video_bytes = None if video is None else video.bytes
    return UUID(bytes=Grants(KEY, mode).check(grant, video_bytes, agent, address, now))


def test_a_grant_is_64_characters_that_a_path_can_carry_and_names_its_session():
    grant = mint()

    assert len(grant) == 64
    assert set(grant) <= set(ALPHABET)
    assert check(grant) == SESSION


def test_every_session_gets_its_own_grant_back():
    for _ in range(300):  # among so many, every character of the alphabet appears
        session = uuid4()
        assert check(mint(session=session)) == session


def test_every_other_character_at_every_place_breaks_it():
    grant = mint()

    for place in range(64):
        for character in ALPHABET:
            if character != grant[place]:
                with pytest.raises(GrantBroken):
                    check(grant[:place] + character + grant[place + 1 :])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda grant: "",
        lambda grant: grant[:-1],
        lambda grant: grant[:-4],
        lambda grant: grant + "A",
        lambda grant: grant + "=",
        lambda grant: grant + "\n",
        lambda grant: " " + grant[1:],
        lambda grant: "%" + grant[1:],
        lambda grant: "é" + grant[1:],
        lambda grant: "\N{FULLWIDTH LATIN CAPITAL LETTER A}" + grant[1:],
        lambda grant: grant.lower(),
        lambda grant: "A" * 64,
        lambda grant: "\0" * 64,
    ],
)
def test_text_that_is_no_grant_is_broken(spoil):
    with pytest.raises(GrantBroken):
        check(spoil(mint()))


def test_the_other_spelling_of_base64_is_refused():
    grant = next(
        grant for grant in (mint(session=uuid4()) for _ in range(500)) if {"-", "_"} & set(grant)
    )

    check(grant)
    with pytest.raises(GrantBroken):
        check(grant.replace("-", "+").replace("_", "/"))


def test_a_grant_of_another_key_is_broken():
    foreign = Grants(bytes(32), "device").mint(SESSION.bytes, VIDEO.bytes, EXPIRY, AGENT, ADDRESS)

    with pytest.raises(GrantBroken):
        check(foreign)


@pytest.mark.parametrize(("now", "good"), [(EXPIRY - 1, True), (EXPIRY - 0.001, True)])
def test_it_is_good_until_its_second(now, good):
    assert check(mint(), now=now) == SESSION


@pytest.mark.parametrize("now", [EXPIRY, EXPIRY + 0.5, EXPIRY + 10**9])
def test_it_expires(now):
    with pytest.raises(GrantExpired):
        check(mint(), now=now)


def test_another_video_is_refused_with_its_own_code():
    with pytest.raises(WrongVideo):
        check(mint(), video=uuid4())


def test_without_a_video_a_grant_of_any_video_is_accepted():
    assert check(mint(), video=None) == SESSION


def test_the_mac_is_checked_before_everything_else():
    grant = mint()
    spoilt = grant[:-1] + ("A" if grant[-1] != "A" else "B")

    with pytest.raises(GrantBroken):
        check(spoilt, video=uuid4(), agent="curl", address="198.51.100.1", now=EXPIRY + 1)


ELSEWHERE = "198.51.100.9"


@pytest.mark.parametrize(
    ("mode", "agent", "address", "good"),
    [
        ("device", AGENT, ADDRESS, True),
        ("device", AGENT, ELSEWHERE, True),  # a phone that roams
        ("device", "AppleCoreMedia/1.0", ADDRESS, True),  # the same device's native player
        ("device", "AppleCoreMedia/1.0", "203.0.113.200", True),  # the same /24
        ("device", "curl/8.0", ELSEWHERE, False),
        ("device", "", ELSEWHERE, False),
        ("network", AGENT, ADDRESS, True),
        ("network", AGENT, "203.0.113.200", True),
        ("network", AGENT, ELSEWHERE, False),
        ("network", "curl/8.0", ADDRESS, False),
        ("network", "curl/8.0", ELSEWHERE, False),
        ("none", AGENT, ADDRESS, True),
        ("none", "curl/8.0", ELSEWHERE, True),
        ("none", "", "", True),
    ],
)
def test_the_binding_mode_decides_which_clients_may_use_it(mode, agent, address, good):
    if good:
        assert check(mint(mode), mode, agent=agent, address=address) == SESSION
    else:
        with pytest.raises(WrongDevice):
            check(mint(mode), mode, agent=agent, address=address)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="sometimes"):
        Grants(KEY, "sometimes")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("203.0.113.255", "203.0.113.0"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:ffff:1:2:3:4", "2001:db8:1::"),
        ("2001:db8:2::1", "2001:db8:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_the_network_of_an_address(address, network):
    assert grants.network_of(address) == network
    assert grants.network_of(network) == network  # A session stores this form; it has the same tag.


def test_a_very_long_user_agent_matches_the_part_that_a_session_stores():
    agent = "x" * 700

    assert check(mint("network", agent=agent[:500]), "network", agent=agent) == SESSION


@pytest.mark.parametrize("key", [b"k", bytes(32), bytes(64), bytes(range(100))])
def test_the_keyed_hash_is_hmac_sha256(key):
    ours = grants.KeyedHash(key, b"label\0")

    assert ours(b"message") == hmac.digest(key, b"label\0message", hashlib.sha256)
    assert ours(b"message") == hmac.digest(key, b"label\0message", hashlib.sha256)  # no state left


def test_the_tags_caches_are_bounded():
    """Clients choose user agents and addresses, and must not make the process grow."""
    subject = Grants(KEY, "device")
    grant = subject.mint(SESSION.bytes, VIDEO.bytes, EXPIRY, AGENT, ADDRESS)

    for number in range(6000):
        with pytest.raises(WrongDevice):
            subject.check(grant, VIDEO.bytes, f"agent {number}", ELSEWHERE, 0)

    assert subject._device_tag.cache_info().currsize <= 4096


def test_mint_and_verify_use_the_settings_key_and_mode(settings):
    settings.GRANT_KEY, settings.BIND_PLAYBACK = KEY, "network"
    grant = grants.mint(SESSION, VIDEO, EXPIRY, AGENT, ADDRESS)

    def verify(video_id=VIDEO, address=ADDRESS):
        return grants.verify(
            grant, video_id=video_id, user_agent=AGENT, address=address, now=EXPIRY - 1
        )

    assert verify() == SESSION
    assert verify(video_id=None) == SESSION
    with pytest.raises(WrongDevice):
        verify(video_id=None, address=ELSEWHERE)
    settings.GRANT_KEY = bytes(32)
    with pytest.raises(GrantBroken):
        verify()


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (GrantBroken, 401, "grant_invalid"),
        (GrantExpired, 401, "grant_expired"),
        (WrongVideo, 403, "wrong_video"),
        (WrongDevice, 403, "wrong_device"),
    ],
)
def test_each_refusal_has_its_status_and_code(refusal, status, code):
    assert (refusal.status, refusal.code) == (status, code)
