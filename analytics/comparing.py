"""The comparison of a period's totals with those of the period before."""

from decimal import Decimal

from analytics.rows import Amount, AmountChange, Change, Totals


def change(before: Totals, now: Totals) -> Change:
    """Return how much each total has changed, in percent of the earlier one with one decimal."""

    def of(name: str) -> float | None:
        return percent(getattr(before, name), getattr(now, name))

    return Change(
        views=of("views"),
        unique_viewers=of("unique_viewers"),
        watch_seconds=of("watch_seconds"),
        likes=of("likes"),
        dislikes=of("dislikes"),
        purchases=of("purchases"),
        gross=_by_currency(before.gross, now.gross),
        earnings=_by_currency(before.earnings, now.earnings),
    )


def percent(before: float | Decimal, now: float | Decimal) -> float | None:
    """Return the change in percent of ``before``, or None where that is 0: nothing is a part of it."""
    if not before:
        return None
    return round(float((now - before) / abs(before)) * 100, 1)  # type: ignore[operator]  # one type each


def _by_currency(before: list[Amount], now: list[Amount]) -> list[AmountChange]:
    earlier = {row.currency: Decimal(row.amount) for row in before}
    later = {row.currency: Decimal(row.amount) for row in now}
    return [
        AmountChange(
            currency, percent(earlier.get(currency, Decimal(0)), later.get(currency, Decimal(0)))
        )
        for currency in sorted({*earlier, *later})
    ]
