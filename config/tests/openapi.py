"""The OpenAPI document for tests that need its routes."""

from functools import cache

from drf_spectacular.generators import SchemaGenerator


@cache
def document() -> dict:
    """Return the OpenAPI document, generated once for each test process. Do not change it."""
    return dict(SchemaGenerator().get_schema(request=None, public=True))
