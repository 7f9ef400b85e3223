"""Corrections to the OpenAPI document that drf-spectacular makes."""

from typing import Any

from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_standardized_errors.openapi import AutoSchema as StandardizedErrorsSchema

# Otherwise drf-spectacular looks for geographic fields by importing django.contrib.gis, which starts
# ldconfig in search of the GDAL library.
DjangoFilterExtension._has_gis = False  # type: ignore[attr-defined]  # set at its first use


class AutoSchema(StandardizedErrorsSchema):
    """The generator of an operation's entry, with the common error body (drf-standardized-errors)."""

    def get_auth(self) -> list[dict[str, Any]]:
        """Return the schemes as alternatives.

        The bearer token is documented under two names (accounts.schema). drf-spectacular would demand
        both of them at once.
        """
        return [
            requirement
            for requirements in super().get_auth()
            for requirement in ([{name: scopes} for name, scopes in requirements.items()] or [{}])
        ]


def classes_without_description() -> list[type]:
    """Return the base classes whose docstrings are for developers and not for the document.

    drf-spectacular describes an operation by the docstring of its view or of the nearest base class.
    """
    from config.api import views  # imported late: REST framework's settings name this module

    excludes = get_lib_doc_excludes()  # type: ignore[no-untyped-call]  # has no annotations
    return [*excludes, views.APIView, views.GenericAPIView, views.GenericViewSet]
