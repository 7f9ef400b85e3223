"""The base of the API: errors, parsing, pagination, permissions, rate limits, OpenAPI document."""
