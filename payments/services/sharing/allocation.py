"""Sharing an amount among many: pure functions over whole minor units and whole seconds."""

import hashlib
import json
from collections.abc import Mapping


def allocate(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share ``amount`` (≥ 0) in proportion to the weights (≥ 0), to the last minor unit.

    Largest remainder: everybody gets their exact share rounded down, and the units left over go one
    each to the largest remainders; then to the larger weight, then by name, so that the order of
    the input does not matter. The parts add up to the amount, unless nobody has a weight: then
    nobody gets anything.

    >>> allocate(8000, {"a": 3600, "b": 1800, "c": 1800, "d": 1})
    {'a': 3999, 'b': 2000, 'c': 2000, 'd': 1}
    """
    if amount < 0 or any(weight < 0 for weight in weights.values()):
        raise ValueError("Only amounts and weights of at least 0 can be shared.")
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 0)
    shares = {name: amount * weight // total for name, weight in weights.items()}
    left = amount - sum(shares.values())
    queue = sorted(
        (-(amount * weight % total), -weight, name) for name, weight in weights.items() if weight
    )
    for _, _, name in queue[:left]:
        shares[name] += 1
    return shares


def user_centric(
    balance: int, paid: Mapping[str, int], watched: Mapping[str, Mapping[str, int]]
) -> dict[str, int]:
    """Share ``balance`` so that each subscriber's money goes to those whom they watched.

    ``paid`` is each subscriber's own part of the pool in minor units, ``watched`` their seconds by
    creator. What no subscriber's viewing claims is shared by all watch time; when the claims are
    more than there is, they are the weights.

    >>> user_centric(800, {"u": 400, "v": 400}, {"u": {"a": 100}, "v": {"a": 1, "b": 3}})
    {'a': 500, 'b': 300}
    """
    claims: dict[str, int] = {}
    seconds: dict[str, int] = {}
    for user, viewing in watched.items():
        for creator, weight in viewing.items():
            seconds[creator] = seconds.get(creator, 0) + weight
        for creator, claim in allocate(max(0, paid.get(user, 0)), viewing).items():
            claims[creator] = claims.get(creator, 0) + claim
    claimed = sum(claims.values())
    if claimed > balance:
        return allocate(balance, claims)
    rest = allocate(balance - claimed, seconds)
    return {creator: claims[creator] + rest[creator] for creator in seconds}


def input_sha256(
    algorithm: str, period: str, currency: str, amount: int, weights: Mapping[str, int]
) -> str:
    """The fingerprint of everything that a distribution follows from, whatever its order."""
    content = [algorithm, period, currency, amount, sorted(weights.items())]
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
