"""The bytes of statements: the quick writer of the plain ones gives what the general way gives."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from config.money import EXPONENTS, MAX_MINOR
from payments.models import Pool
from payments.periods import Month
from payments.services.payouts import bodies

minor = st.integers(-MAX_MINOR, MAX_MINOR)
whole = st.integers(0, 2**62)


@given(
    creator=st.uuids(),
    month=st.builds(Month, st.integers(2000, 2999), st.integers(1, 12)),
    currency=st.sampled_from(sorted(EXPONENTS)),
    opening=minor,
    nets=st.fixed_dictionaries({}, optional={"pool": minor}),
    seconds=whole,
    amount=minor,
    total_seconds=whole,
    algorithm=st.sampled_from(Pool.Algorithm.values) | st.text(max_size=20),
)
def test_a_plain_statement_has_the_bytes_of_the_general_way(
    creator, month, currency, opening, nets, seconds, amount, total_seconds, algorithm
):
    """For any currency, any sign of the balance, and an algorithm of any name."""
    pool = Pool(
        algorithm=algorithm, amount=amount, total_seconds=total_seconds,
        input_sha256=uuid.uuid4().hex * 2,
    )  # fmt: skip
    body = bodies.body_of(
        str(creator),
        month,
        currency,
        is_older=False,
        opening=opening,
        by_kind=nets,
        sales={},
        payouts={},
        pool=pool,
        seconds=seconds,
    )
    write = bodies.plain_writer(pool, month, currency)
    plain = write(str(creator), opening, nets.get("pool", 0), seconds)
    assert plain == bodies.canonical(body)
