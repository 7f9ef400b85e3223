"""The arithmetic of sharing a pool among creators, to the last minor unit."""

import itertools
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.services.sharing.allocation import allocate, input_sha256, user_centric

amounts = st.integers(0, 10**13)
names = st.text("0123456789abcdef", min_size=1, max_size=4)
weights = st.dictionaries(names, st.integers(0, 10**9), max_size=20)


@pytest.mark.promise("pool-shares-exact")
@given(amounts, weights)
def test_the_shares_add_up_to_the_pool(amount, weights):
    """All shares together are exactly the pool; without any weight all shares are zero."""
    shares = allocate(amount, weights)
    assert shares.keys() == weights.keys()
    assert sum(shares.values()) == (amount if any(weights.values()) else 0)


@pytest.mark.promise("pool-shares-exact")
@given(amounts, weights)
def test_a_share_is_exact_to_less_than_one_unit(amount, weights):
    """A share differs from the exact quotient by less than one unit; no weight gives no share."""
    total = sum(weights.values())
    for name, share in allocate(amount, weights).items():
        assert isinstance(share, int)
        if not weights[name]:
            assert share == 0
        else:
            assert abs(share - Fraction(amount * weights[name], total)) < 1


@pytest.mark.promise("pool-shares-exact")
@given(amounts, weights)
def test_more_weight_never_gives_a_smaller_share(amount, weights):
    """A creator with more weight never gets less than a creator with less weight."""
    shares = allocate(amount, weights)
    for low, high in itertools.permutations(weights, 2):
        assert weights[low] >= weights[high] or shares[low] <= shares[high]


@pytest.mark.promise("pool-shares-exact")
@given(amounts, weights, st.randoms())
def test_the_order_of_the_input_does_not_matter(amount, weights, random):
    """Neither the shares nor the input hash depend on the order of the weights."""
    shuffled = list(weights.items())
    random.shuffle(shuffled)
    assert allocate(amount, dict(shuffled)) == allocate(amount, weights)
    told = ("prorata-v1", "2026-09", "USD", amount)
    assert input_sha256(*told, dict(shuffled)) == input_sha256(*told, weights)


@pytest.mark.promise("pool-shares-exact")
def test_a_known_pool_is_shared_to_the_last_unit():
    """8000 units over 3600, 1800, 1800 and 1 seconds become 3999, 2000, 2000 and 1."""
    weights = {"a": 3600, "b": 1800, "c": 1800, "d": 1}
    assert allocate(8000, weights) == {"a": 3999, "b": 2000, "c": 2000, "d": 1}


def test_equal_remainders_go_to_the_larger_weight_and_then_by_name():
    # 100 x 4 and 100 x 1 of 6 leave 4 each: the larger weight is first.
    assert allocate(100, {"a": 1, "b": 1, "c": 4}) == {"a": 17, "b": 16, "c": 67}
    assert allocate(1, {"b": 5, "a": 5}) == {"a": 1, "b": 0}


@pytest.mark.promise("pool-shares-exact")
def test_the_hash_is_stable():
    """Statements keep the hash for years, so the same input must always give the same one."""
    assert input_sha256("prorata-v1", "2026-09", "USD", 8000, {"b": 1, "a": 2}) == (
        "db50edbd0afef38f6906864ca7d47a617f3b5507626324a125a51d964036b697"
    )


@pytest.mark.parametrize(
    "change",
    [
        ("user-centric-v1", "2026-09", "USD", 8000, {"a": 2}),
        ("prorata-v1", "2026-10", "USD", 8000, {"a": 2}),
        ("prorata-v1", "2026-09", "EUR", 8000, {"a": 2}),
        ("prorata-v1", "2026-09", "USD", 8001, {"a": 2}),
        ("prorata-v1", "2026-09", "USD", 8000, {"a": 3}),
    ],
)
def test_the_hash_covers_every_input(change):
    assert input_sha256(*change) != input_sha256("prorata-v1", "2026-09", "USD", 8000, {"a": 2})


@pytest.mark.parametrize(("amount", "weights"), [(-1, {"a": 1}), (1, {"a": -1, "b": 3})])
def test_negative_amounts_and_weights_are_refused(amount, weights):
    with pytest.raises(ValueError, match="at least 0"):
        allocate(amount, weights)


@pytest.mark.promise("pool-shares-exact")
def test_a_pool_for_100000_creators_is_shared_quickly():
    """A pool is shared exactly among 100 000 creators in less than five seconds."""
    weights = {f"{number:032x}": number % 9973 for number in range(100_000)}
    start = time.thread_time()
    shares = allocate(123_456_789, weights)
    assert time.thread_time() - start < 5
    assert sum(shares.values()) == 123_456_789


watched = st.dictionaries(
    names, st.dictionaries(names, st.integers(0, 10**6), max_size=5), max_size=8
)


@given(st.integers(0, 10**9), watched, st.data())
def test_each_subscribers_money_is_shared_to_the_last_unit(balance, watched, data):
    paid = {user: data.draw(st.integers(-100, 10**9)) for user in watched}
    shares = user_centric(balance, paid, watched)
    assert min(shares.values(), default=0) >= 0
    viewed = any(any(viewing.values()) for viewing in watched.values())
    assert sum(shares.values()) == (balance if viewed else 0)


def test_a_subscribers_money_goes_to_the_creators_they_watched():
    watched = {"u": {"a": 10}, "v": {"b": 9000}}
    assert user_centric(800, {"u": 400, "v": 400}, watched) == {"a": 400, "b": 400}
    # w paid and watched nothing: that money is shared by the watch time of all users, 1 to 3.
    watched = {"u": {"a": 10}, "v": {"b": 30}}
    paid = {"u": 400, "v": 400, "w": 400}
    assert user_centric(1200, paid, watched) == {"a": 500, "b": 700}
    # Refunds have made the pool smaller than the payments: all shares shrink in proportion.
    assert user_centric(300, paid, watched) == {"a": 150, "b": 150}
