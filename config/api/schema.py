"""The OpenAPI document: what drf-spectacular cannot guess."""

from drf_standardized_errors.openapi import AutoSchema as StandardizedErrorsSchema


class AutoSchema(StandardizedErrorsSchema):
    """Adds the one error body to every operation (drf-standardized-errors)."""
