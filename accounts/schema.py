from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerScheme(OpenApiAuthenticationExtension):
    """The *Authorize* button: e-mail and password by the OAuth2 password flow, or a pasted token."""

    target_class = "accounts.authentication.BearerAuthentication"
    name = ["password", "bearer"]

    def get_security_definition(self, auto_schema):
        flow = {
            "tokenUrl": "/api/v1/auth/login",
            "refreshUrl": "/api/v1/auth/refresh",
            "scopes": {},
        }
        return [
            {"type": "oauth2", "flows": {"password": flow}},
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        ]
