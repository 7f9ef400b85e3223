"""The quick copies of fields, with which migrations run, are the clones of Django."""

import pytest
from django.db import models
from django.db.migrations.loader import MigrationLoader

from config.management.commands.migrate import _quick_clones


@pytest.fixture(scope="module")
def states():
    """Every model as the migrations leave it."""
    return MigrationLoader(None).project_state().models


def test_a_copy_is_described_as_its_clone(states):
    fields = [field for state in states.values() for field in state.fields.values()]
    assert len(fields) > 500
    for field in fields:
        _ = field.related_model  # which a field remembers, as a text
    clones = [field.clone() for field in fields]
    with _quick_clones():
        copies = [field.clone() for field in fields]
    for field, clone, copy in zip(fields, clones, copies, strict=True):
        assert copy.deconstruct()[1:] == clone.deconstruct()[1:]
        assert copy is not field
        assert type(copy) is type(clone)
        assert vars(copy).keys() == vars(clone).keys()
        if field.remote_field:
            assert vars(copy.remote_field).keys() == vars(clone.remote_field).keys()
            assert copy.remote_field is not field.remote_field
            assert copy.remote_field.field is copy


def test_copies_are_in_the_order_in_which_they_were_made(states):
    for state in states.values():
        with _quick_clones():
            copies = [field.clone() for field in state.fields.values() if not field.auto_created]
        assert copies == sorted(copies, key=lambda field: field.creation_counter)
        assert len({field.creation_counter for field in copies}) == len(copies)


def test_the_models_of_the_service_are_cloned_as_ever(states):
    clone = models.Field.clone
    with _quick_clones():
        assert models.Field.clone is not clone
    assert models.Field.clone is clone
    field = next(iter(states["videos", "video"].fields.values()))
    assert field.clone().deconstruct()[1:] == field.deconstruct()[1:]  # a clone has no name yet
