"""Sharing an amount among creators: pure functions over whole minor units and whole seconds."""

import hashlib
import json
from collections.abc import Mapping


def allocate(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share ``amount`` (≥ 0) in proportion to the weights (≥ 0), to the last minor unit.

    By the largest remainder method: each share is first rounded down; the units left over go, one each,
    to the largest remainders, among equal ones to the larger weight, then to the smaller name. So the
    order of the input does not matter. The shares add up to the amount, unless all weights are 0: then
    all shares are 0. Raises ValueError for a negative amount or weight.

    >>> allocate(8000, {"a": 3600, "b": 1800, "c": 1800, "d": 1})
    {'a': 3999, 'b': 2000, 'c': 2000, 'd': 1}
    """
    if amount < 0 or any(weight < 0 for weight in weights.values()):
        raise ValueError("The amount and all weights must be at least 0.")
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
    """Share ``balance`` so that each subscriber's money goes to the creators whom they watched.

    ``paid`` is each subscriber's own part of the pool in minor units, ``watched`` their seconds by
    creator. Each subscriber's part is allocated by their own seconds. A remainder of the balance is
    shared by the seconds of all. If the parts add up to more than the balance, the balance is shared in
    proportion to them.

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
    remainder = allocate(balance - claimed, seconds)
    return {creator: claims[creator] + remainder[creator] for creator in seconds}


def input_sha256(
    algorithm: str, period: str, currency: str, amount: int, weights: Mapping[str, int]
) -> str:
    """Return the hash of everything that the shares of a pool follow from.

    The order of the weights does not change it.
    """
    content = [algorithm, period, currency, amount, sorted(weights.items())]
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
