"""Answers to OPTIONS."""

from typing import TYPE_CHECKING

from rest_framework.metadata import SimpleMetadata

if TYPE_CHECKING:
    # REST framework's views import this module.
    from rest_framework.request import Request
    from rest_framework.views import APIView


class ViewOnlyMetadata(SimpleMetadata):
    """Describes a view by name, description and content types, without the fields of its bodies.

    The API document tells these, for each operation. REST framework would guess them from
    ``serializer_class``, which may describe the answer, and look for the object that a PUT is about.
    """

    def determine_actions(self, request: "Request", view: "APIView") -> dict[str, object]:
        return {}
