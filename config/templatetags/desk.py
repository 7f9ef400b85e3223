"""The tiles of the admin site's start page, the headings of pages, and JSON on the pages of rows."""

import json
from typing import Any

from django import template

from config import attention, desk

register = template.Library()


@register.simple_tag(takes_context=True)
def what_needs_attention(context: dict[str, Any]) -> list[tuple[str, list[attention.Tile]]]:
    """Return the groups of tiles that the user of the page may see."""
    return attention.groups(context["request"])


@register.simple_tag
def stored_json(field: Any) -> str:
    """Return the JSON of a read-only field of an admin form as indented text, which is escaped."""
    value = getattr(field.form.instance, field.field["field"])
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)


@register.filter
def by_the_menu(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of a page's heading with the menu's names of lists, and without the app."""
    titles = desk.titles_by_address()
    named = [{**part, "title": titles.get(str(part.get("link")), part["title"])} for part in parts]
    return [part for part in named if str(part.get("link")).count("/") > 3] or named
