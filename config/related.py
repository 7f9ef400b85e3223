"""What is known about a row's related rows, so that the database is not asked for it."""

from django.db.models import Model, QuerySet


def note_none(row: Model, *names: str) -> None:
    """Note at a row that this transaction has inserted that it has no related rows of these names.

    ``row.refunds.all()``, for example, is then empty without a query, as after `prefetch_related`.
    Whatever adds one must use the related manager's ``add``, which forgets the note.
    """
    row._prefetched_objects_cache = {  # type: ignore[attr-defined]  # Django's own, without a stub
        name: _nothing(row, name) for name in names
    }


def _nothing(row: Model, name: str) -> QuerySet[Model]:
    """Return the empty set of related rows. It is not asked, and so needs no condition for the row."""
    nothing = getattr(type(row), name).rel.related_model._default_manager.none()
    nothing._result_cache = []
    return nothing  # type: ignore[no-any-return]
