"""The geometry of the revenue chart. A template draws it as SVG, without scripts or other hosts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from config import money
from payments.books.columns import amounts
from payments.books.reports import RevenueDay

WIDTH, HEIGHT = 960, 320
LEFT, RIGHT, TOP, BOTTOM = 84, 12, 14, 44
TICKS = 5
DATES_MAX = 8
DENSE_FROM = 60


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the chart: rectangles as (CSS class, y, height), and their text for screen readers."""

    x: float
    width: float
    parts: list[tuple[str, float, float]]
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that the template needs to draw a chart; coordinates are in units of the SVG's view box."""

    currency: str
    bars: list[Bar]
    gross: str  # the points of a polyline
    refunds: str  # the points of a polyline, refunds and disputes together
    values: list[tuple[float, str]]  # labels of the vertical axis by y
    dates: list[tuple[float, str]]  # labels of the horizontal axis by x
    zero: float  # the y of the horizontal axis
    summary: str
    is_dense: bool  # with this many days, thinner lines leave the bars visible
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def revenue(days: list[RevenueDay], currency: str) -> Chart:
    """Return a chart of consecutive days in one currency.

    Stacked bars show both shares, lines the gross and the refunds with disputes. ``days`` has at least
    one day.
    """
    back = [day.refunds + day.disputes for day in days]
    highs = [max(_stack(day, 1), day.gross, gone) for day, gone in zip(days, back, strict=True)]
    lows = [min(_stack(day, -1), day.gross, gone) for day, gone in zip(days, back, strict=True)]
    ticks = _ticks(min([0, *lows]), max([0, *highs]), money.EXPONENTS[currency])
    low, high = ticks[0], ticks[-1]

    def y(value: int) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    slot = (WIDTH - LEFT - RIGHT) / len(days)
    middles = [round(LEFT + slot * (number + 0.5), 1) for number in range(len(days))]
    width = round(min(28.0, max(1.0, slot * 0.7)), 2)

    def line(values: list[int]) -> str:
        return " ".join(f"{x},{y(value)}" for x, value in zip(middles, values, strict=True))

    bars = [
        Bar(round(x - width / 2, 2), width, _parts(day, y), _values(day))
        for day, x in zip(days, middles, strict=True)
        if any(getattr(day, column.name) for column in amounts(RevenueDay))
    ]
    return Chart(
        currency=currency,
        bars=bars,
        gross=line([day.gross for day in days]),
        refunds=line(back),
        values=[(y(tick), _short(tick, currency)) for tick in ticks],
        dates=_dates([day.day for day in days], middles),
        zero=y(0),
        summary=_summary(days, currency),
        is_dense=len(days) > DENSE_FROM,
    )


def _stack(day: RevenueDay, sign: int) -> int:
    """Return the height of a day's bar above (``sign`` 1) or below (-1) the axis, in minor units."""
    return sum(part for part in (day.creator_share, day.platform_share) if part * sign > 0)


def _parts(day: RevenueDay, y: Callable[[int], float]) -> list[tuple[str, float, float]]:
    """Return a day's rectangles as (CSS class, y, height), stacked away from the axis."""
    parts, ends = [], {1: 0, -1: 0}
    for name, value in (("creators", day.creator_share), ("platform", day.platform_share)):
        if value:
            sign = 1 if value > 0 else -1
            begin, ends[sign] = ends[sign], ends[sign] + value
            top, bottom = sorted((y(begin), y(ends[sign])))
            parts.append((name, top, round(bottom - top, 1)))
    return parts


def _ticks(low: int, high: int, exponent: int) -> list[int]:
    """Return the values of the axis in minor units: round numbers that include ``low`` and ``high``.

    Their step is 1, 2 or 5 times a power of ten, so that there are about TICKS steps.
    """
    span = max(high - low, 10**exponent)
    rough = span / TICKS
    magnitude = 1
    while magnitude * 10 <= rough:
        magnitude *= 10
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= rough)
    first, last = low // step, -(-high // step)
    return [step * number for number in range(first, max(last, first + 1) + 1)]


def _dates(days: list[datetime], middles: list[float]) -> list[tuple[float, str]]:
    """Return at most DATES_MAX labels of the horizontal axis by x."""
    every = max(1, -(-len(days) // DATES_MAX))
    return [
        (middles[number], f"{days[number].day} {days[number]:%b}")
        for number in range(0, len(days), every)
    ]


def _short(minor: int, currency: str) -> str:
    """Return an amount for the axis: with thousands separators, without a fraction of zeros."""
    text = money.to_text(minor, currency)
    whole, _, fraction = text.partition(".")
    digits = f"{int(whole):,}" if whole not in {"-0"} else whole
    return f"{digits}.{fraction}" if fraction.strip("0") else digits


def _values(day: RevenueDay) -> str:
    """Return a day's amounts as a sentence, for a pointer or a screen reader."""
    amounts_of_day = ", ".join(
        f"{column.short} {money.to_text(getattr(day, column.name), day.currency)}"
        for column in amounts(RevenueDay)
    )
    return f"{day.day:%Y-%m-%d}: {amounts_of_day} {day.currency}"


def _summary(days: list[RevenueDay], currency: str) -> str:
    """Return the text of the chart for screen readers: the sums, and the day with the highest gross."""
    gross = sum(day.gross for day in days)
    back = sum(day.refunds + day.disputes for day in days)
    creators = sum(day.creator_share for day in days)
    platform = sum(day.platform_share for day in days)
    best = max(days, key=lambda day: day.gross)
    return (
        f"From {days[0].day:%Y-%m-%d} to {days[-1].day:%Y-%m-%d}:"
        f" gross {money.to_text(gross, currency)} {currency},"
        f" refunds and disputes {money.to_text(back, currency)}; creators earned"
        f" {money.to_text(creators, currency)} and the platform"
        f" {money.to_text(platform, currency)}. The best day was {best.day:%Y-%m-%d} with"
        f" {money.to_text(best.gross, currency)}."
    )
