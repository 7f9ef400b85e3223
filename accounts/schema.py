from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class BearerScheme(OpenApiAuthenticationExtension):
    """The authentication in the OpenAPI document, for the *Authorize* button of its pages.

    A user gives e-mail address and password (OAuth2 password flow) or pastes an access token.
    """

    target_class = "accounts.authentication.BearerAuthentication"
    name = ["password", "bearer"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        flow = {
            "tokenUrl": "/api/v1/auth/login",
            "refreshUrl": "/api/v1/auth/refresh",
            "scopes": {},
        }
        return [
            {"type": "oauth2", "flows": {"password": flow}},
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        ]
