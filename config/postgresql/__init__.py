"""Django's back end for PostgreSQL, with statements that are prepared once for each connection."""
