"""Makes the accounts of the attacks: `python -m attacks.people VIEWERS`. Prints their tokens as JSON."""

import json
import os
import sys
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402 - after the set-up
from django.contrib.auth.hashers import make_password  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402

from accounts import tokens  # noqa: E402
from accounts.models import User  # noqa: E402
from accounts.roles import Role  # noqa: E402
from attacks.service import PASSWORD  # noqa: E402


def main(viewers: int) -> None:
    """Create the viewers and a creator, and print an access and a refresh token of each account."""
    role, _ = Group.objects.get_or_create(name=Role.VIEWER)
    password = make_password(PASSWORD)
    people = [
        User(
            email=f"viewer-{number}@example.com", display_name="Vera", role=role, password=password
        )
        for number in range(viewers)
    ]
    User.objects.bulk_create(people)
    creator = User.objects.create_user("creator@example.com", PASSWORD, display_name="Cleo")
    creator.role, _ = Group.objects.get_or_create(name=Role.CREATOR)
    creator.save()
    admin = User.objects.get(email=settings.DEFAULT_ADMIN_EMAIL)
    made = {"viewers": [signed_in(user) for user in people]}
    sys.stdout.write(json.dumps({**made, "creator": signed_in(creator), "admin": signed_in(admin)}))


def signed_in(user: User) -> dict[str, Any]:
    pair = tokens.issue(user)
    return {"email": user.email, "access": pair.access, "refresh": pair.refresh}


if __name__ == "__main__":
    main(int(sys.argv[1]))
