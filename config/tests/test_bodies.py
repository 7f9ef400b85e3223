"""Bodies wait on the event loop: their size, their time, and how many wait at once."""

import asyncio

import pytest

from config import bodies
from config.bodies import BodyRefused, ClientGone, Waiting, take_large, take_small


def scope(*headers: tuple[bytes, bytes], address: str = "192.0.2.7") -> dict:
    return {"headers": list(headers), "client": (address, 1)}


def length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", str(size).encode()


def sender(*parts: bytes, ends: bool = True):
    """Return a ``receive`` that gives these parts, and then waits for ever unless the body ends."""
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) or not ends}
        for number, part in enumerate(parts, 1)
    ]

    async def receive():
        if messages:
            return messages.pop(0)
        return await asyncio.Event().wait()

    return receive


def test_a_body_arrives_in_parts():
    body = asyncio.run(take_small(scope(length(5)), sender(b"ab", b"", b"cde"), Waiting()))
    assert body == b"abcde"


def test_a_request_without_a_body_does_not_wait():
    assert asyncio.run(take_small(scope(), sender(ends=False), Waiting())) == b""


@pytest.mark.parametrize(
    ("headers", "parts"),
    [
        ([length(bodies.BODY_MAX + 1)], []),  # before its first byte
        ([(b"transfer-encoding", b"chunked")], [bytes(bodies.BODY_MAX), b"x"]),
        ([length(1)], [bytes(bodies.BODY_MAX), b"x"]),
    ],
)
def test_a_large_body_is_refused(headers, parts):
    with pytest.raises(BodyRefused) as refused:
        asyncio.run(take_small(scope(*headers), sender(*parts, ends=False), Waiting()))
    assert (refused.value.status, refused.value.code) == (413, "too_large")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/payments/admin/disputes/0199541b/evidence/files/receipt",
        "/admin/payments/dispute/0199541b/evidence/",
    ],
)
def test_a_file_of_evidence_may_be_larger(path):
    def take(size: int) -> bytes:
        parts = [bytes(size)]
        return asyncio.run(
            take_small(scope(length(size)) | {"path": path}, sender(*parts), Waiting())
        )

    assert len(take(bodies.LARGER_MAX)) == bodies.LARGER_MAX
    with pytest.raises(BodyRefused) as refused:
        take(bodies.LARGER_MAX + 1)
    assert refused.value.code == "too_large"


def test_few_larger_bodies_are_taken_at_a_time(monkeypatch):
    monkeypatch.setattr(bodies, "LARGER_AT_ONCE", 1)
    larger = scope(length(2)) | {"path": "/admin/payments/dispute/1/evidence/"}

    async def two() -> tuple[BaseException | None, bytes]:
        waiting = Waiting()
        first = asyncio.create_task(take_small(larger, sender(b"x", ends=False), waiting))
        await asyncio.sleep(0.05)
        try:
            await take_small(larger, sender(b"ok"), waiting)
        except BodyRefused as refused:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            return refused, await take_small(larger, sender(b"ok"), waiting)
        return None, b""

    refused, later = asyncio.run(two())
    assert isinstance(refused, BodyRefused)
    assert (refused.status, later) == (503, b"ok")


def test_a_body_that_does_not_end_is_refused(monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    with pytest.raises(BodyRefused) as refused:
        asyncio.run(take_small(scope(length(9)), sender(b"x", ends=False), Waiting()))
    assert (refused.value.status, refused.value.code) == (408, "too_slow")


def test_a_client_that_goes_away():
    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGone):
        asyncio.run(take_small(scope(length(9)), receive, Waiting()))


def half_bodies(waiting: Waiting, addresses: list[str]) -> list[asyncio.Task]:
    return [
        asyncio.create_task(
            take_small(scope(length(9), address=address), sender(b"x", ends=False), waiting)
        )
        for address in addresses
    ]


@pytest.mark.parametrize(
    ("addresses", "gone"),
    [
        (["192.0.2.7"] * 4, 2),  # two of one address may wait
        (["2001:db8::1", "2001:db8::2", "2001:db8::3"], 1),  # one network
        (["::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"], 1),
        ([f"192.0.2.{number}" for number in range(6)], 1),  # five in all
        (["unknown", "nonsense", ""], 1),
    ],
)
def test_the_oldest_bodies_make_room(monkeypatch, addresses, gone):
    monkeypatch.setattr(bodies, "WAITING_BY_ADDRESS", 2)
    monkeypatch.setattr(bodies, "WAITING_MAX", 5)

    async def crowd() -> tuple[list[bool], bytes]:
        waiting = Waiting()
        tasks = half_bodies(waiting, addresses)
        await asyncio.sleep(0.05)
        whole = await take_small(scope(length(2), address="192.0.2.99"), sender(b"ok"), waiting)
        await asyncio.sleep(0.05)
        over = [task.done() and isinstance(task.exception(), BodyRefused) for task in tasks]
        for task in tasks:
            task.cancel()
        return over, whole

    over, whole = asyncio.run(crowd())
    assert whole == b"ok"
    extra = 1 if len(addresses) - gone == 5 else 0  # the whole body pushed one more out
    assert over == [True] * (gone + extra) + [False] * (len(addresses) - gone - extra)


def test_nothing_is_counted_when_all_are_gone():
    async def one() -> Waiting:
        waiting = Waiting()
        await take_small(scope(length(2)), sender(b"ok"), waiting)
        return waiting

    waiting = asyncio.run(one())
    assert (waiting._all, waiting._by_address) == ({}, {})


def test_an_upload_that_pauses_or_trickles_is_refused(monkeypatch):
    monkeypatch.setattr(bodies, "PAUSE_SECONDS", 0.05)

    async def trickle():
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def take(receive) -> int:
        return sum([len(part) async for part in take_large(receive)])

    for receive in (sender(b"x" * 5000, ends=False), trickle):
        with pytest.raises(BodyRefused) as refused:
            asyncio.run(take(receive))
        assert refused.value.code == "too_slow"
    assert asyncio.run(take(sender(b"x" * 5000, b"y"))) == 5001
