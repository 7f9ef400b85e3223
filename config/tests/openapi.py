"""The OpenAPI document for tests that need its routes."""

from functools import cache

from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.generators import SchemaGenerator

# Otherwise drf-spectacular looks for the library of GeoDjango, which starts a process (ldconfig).
DjangoFilterExtension._has_gis = False  # type: ignore[attr-defined]  # it is set when it is needed


@cache
def document() -> dict:
    """Return the OpenAPI document, generated once for each test process. Do not change it."""
    return dict(SchemaGenerator().get_schema(request=None, public=True))
