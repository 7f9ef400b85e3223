"""Answers to OPTIONS."""

from rest_framework.metadata import SimpleMetadata
from rest_framework.request import Request
from rest_framework.views import APIView


class ViewOnlyMetadata(SimpleMetadata):
    """Describes a view without the fields of its body.

    For views whose ``serializer_class`` describes the answer: it would be shown as what POST takes.
    """

    def determine_actions(self, request: Request, view: APIView) -> dict[str, object]:
        return {}
