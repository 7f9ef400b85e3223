"""The OpenAPI document: what drf-spectacular cannot guess."""

from drf_standardized_errors.openapi import AutoSchema as StandardizedErrorsSchema


class AutoSchema(StandardizedErrorsSchema):
    """Adds the one error body to every operation (drf-standardized-errors)."""

    def get_auth(self) -> list[dict]:
        """Our one scheme has two names, and either of them will do, not both together."""
        return [
            requirement
            for requirements in super().get_auth()
            for requirement in ([{name: scopes} for name, scopes in requirements.items()] or [{}])
        ]
