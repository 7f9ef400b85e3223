"""The kernel of the API: errors, parsing, pagination, limits, schema."""
