"""Django's back end for SQLite, with a queue of writers (`config.turnstile`)."""
