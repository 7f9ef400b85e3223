"""The settings of REST framework, of its errors and of the API document."""

from typing import Any

from config.api.introduction import API_DESCRIPTION, API_TAGS, ENUM_NAMES

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["config.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["config.api.renderers.QuickJSONRenderer"],
    "DEFAULT_FILTER_BACKENDS": ["config.api.filters.FilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "config.api.pagination.KeysetPagination",
    "DEFAULT_METADATA_CLASS": "config.api.metadata.ViewOnlyMetadata",
    "DEFAULT_SCHEMA_CLASS": "config.api.schema.AutoSchema",
    "DEFAULT_VERSIONING_CLASS": None,
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "URL_FORMAT_OVERRIDE": None,  # views read ?format=csv and ?format=dash themselves
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "COERCE_DECIMAL_TO_STRING": True,
}
STANDARDIZED_ERRORS = {
    "EXCEPTION_HANDLER_CLASS": "config.api.exceptions.ApiExceptionHandler",
    "EXCEPTION_FORMATTER_CLASS": "config.api.exceptions.ApiExceptionFormatter",
    "ENABLE_IN_DEBUG_FOR_UNHANDLED_EXCEPTIONS": True,
}


def spectacular(public_url: str, contact: str) -> dict[str, Any]:
    """Return the settings of the API document, for a service at ``public_url`` (or empty).

    ``contact`` is the service's own e-mail address. It is left out if people cannot write to it, such
    as vod@localhost.
    """
    settings: dict[str, Any] = {
        "OAS_VERSION": "3.1.0",
        "TITLE": "Video on demand",
        "DESCRIPTION": API_DESCRIPTION,
        "VERSION": "1.0.0",
        "SERVERS": [{"url": public_url or "/", "description": "This service"}],
        "TAGS": API_TAGS,
        "SERVE_INCLUDE_SCHEMA": False,
        "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
        "SERVE_AUTHENTICATION": [],
        "SCHEMA_PATH_PREFIX": "/api/v1",
        "PATH_CONVERTER_OVERRIDES": {"id": {"type": "string", "format": "uuid"}},
        "SWAGGER_UI_DIST": "SIDECAR",
        "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
        "REDOC_DIST": "SIDECAR",
        "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "filter": True},
        "COMPONENT_SPLIT_REQUEST": True,
        "GET_LIB_DOC_EXCLUDES": "config.api.schema.classes_without_description",
        "ENUM_NAME_OVERRIDES": ENUM_NAMES,
        "POSTPROCESSING_HOOKS": [
            "drf_spectacular.hooks.postprocess_schema_enums",
            "config.api.components.document_errors",
            "config.api.components.drop_unused",
            "config.api.examples.add_examples",
        ],
    }
    operator = {"name": "The operator of this service"}
    if "." in contact.rpartition("@")[2]:
        operator["email"] = contact
    return {**settings, "CONTACT": operator}
