"""Every address of the admin site, for tests that walk over them."""

from typing import Any

from django.apps import apps
from django.contrib import admin as site
from django.urls import get_resolver, reverse

# Pages that Django makes for each model.
OWN = {"changelist", "add", "history", "delete", "change"}
# Views of the whole site: none of them changes a row of the product.
OF_THE_SITE = {
    "index", "login", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n",
    "view_on_site", "app_list", "search",
}  # fmt: skip
PAGES: list[Any] = sorted(site.site._registry.values(), key=lambda page: page.opts.label)


def names() -> set[str]:
    """Return the names of all addresses of the admin site."""
    trees: list[Any] = get_resolver().url_patterns
    (tree,) = (each for each in trees if getattr(each, "app_name", "") == "admin")
    found: set[str] = set()
    waiting: list[Any] = list(tree.url_patterns)
    while waiting:
        each = waiting.pop()
        if hasattr(each, "url_patterns"):
            waiting += each.url_patterns
        elif each.name:
            found.add(each.name)
    return found


def prefix(page) -> str:
    return f"{page.opts.app_label}_{page.opts.model_name}"


def acts_of(page, request) -> list[tuple[str, str]]:
    """Return the names and addresses of the acts of a page, for a row of its table."""
    row = page.model._default_manager.first()
    return [
        (name, f"{reverse(f'admin:{prefix(page)}_act', args=[name])}?rows={row.pk}")
        for name in page.acts(request)
    ]


def everything() -> dict[str, list]:
    """Return all rows of the product's tables, without Django's own and without the activity."""
    own = {"sessions", "admin", "contenttypes", "auth"}
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model._meta.app_label not in own and model is not apps.get_model("audit.ApiRequest")
    }
