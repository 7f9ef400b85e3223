"""manage.py demo: options that cannot be used are told before anything is made."""

import pytest
from django.core.management import CommandError, call_command


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--seconds=0", "--seconds and --rate must be at least 1"),
        ("--rate=-1", "--seconds and --rate must be at least 1"),
        ("--size=big", "--size must be width x height, like 1920x1080, not big"),
        ("--size=1x1", "--size must be width x height"),
        ("--file=/nowhere/clip.mp4", "There is no file /nowhere/clip.mp4"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(option, words):
    with pytest.raises(CommandError, match=words):
        call_command("demo", option)
