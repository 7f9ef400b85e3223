"""The OpenAPI document for tests that need its routes."""

from functools import cache

from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.generators import SchemaGenerator

# It would look for the libraries of GeoDjango, and start gcc and ldconfig in the middle of a test.
DjangoFilterExtension._has_gis = False  # type: ignore[attr-defined]  # it sets this by its search


@cache
def document() -> dict:
    """Return the OpenAPI document, generated once for each test process. Do not change it."""
    return dict(SchemaGenerator().get_schema(request=None, public=True))
