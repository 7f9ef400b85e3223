"""The hash of passwords."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class OwaspArgon2Hasher(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes and one thread (OWASP Password Storage Cheat Sheet).

    Django's own parameters take 100 MiB for each sign-in that runs at the same time. A password that was
    hashed with them is hashed again at its next sign-in.
    """

    time_cost, memory_cost, parallelism = 2, 19 * 1024, 1
