"""The HTTP endpoints of payments, one file a flow."""
