"""A compiled serializer writes what REST framework would write."""

from types import SimpleNamespace

import pytest
from rest_framework import serializers

from config.api.representation import Compiled, readers


class Inner(serializers.Serializer):
    name = serializers.CharField()
    size = serializers.IntegerField(required=False)


class Plain(serializers.Serializer):
    text = serializers.CharField(allow_null=True)
    number = serializers.IntegerField(source="a.number")
    flag = serializers.BooleanField()
    called = serializers.CharField()
    missing = serializers.CharField(required=False)
    other = serializers.CharField(default="other")
    none = serializers.CharField(source="nothing.here", allow_null=True)
    inner = Inner()
    inners = Inner(many=True)
    choice = serializers.ChoiceField(choices=["a", "b"])
    secret = serializers.CharField(write_only=True)
    made = serializers.SerializerMethodField()

    def get_made(self, instance):
        return f"{self.context['word']} {type(instance).__name__}"


class Quick(Compiled, Plain):
    pass


def an_object(**changes):
    return SimpleNamespace(
        **{
            "text": "é",
            "a": SimpleNamespace(number=7),
            "flag": "true",
            "called": lambda: "by the field",
            "nothing": None,
            "inner": {"name": "n"},
            "inners": [{"name": 1, "size": "2"}, SimpleNamespace(name="x", size=None)],
            "choice": "b",
            "secret": "s",
            **changes,
        }
    )


@pytest.mark.parametrize(
    "value",
    [
        an_object(),
        an_object(text=None, flag=True, missing="here", other="there", inners=[]),
        an_object(inner=None, a={"number": "8"}),
        vars(an_object()),
    ],
)
def test_the_answer_is_that_of_rest_framework(value):
    context = {"word": "said"}
    assert Quick(value, context=context).data == Plain(value, context=context).data
    (listed,) = Quick([value], many=True, context=context).data
    assert listed == Plain(value, context=context).data


@pytest.mark.parametrize("kind", [Plain, Quick])
def test_an_attribute_that_must_be_there_is_missed(kind):
    value = an_object()
    del value.choice
    with pytest.raises(AttributeError, match="choice"):
        _ = kind(value, context={"word": ""}).data


def test_a_nested_serializer_with_methods_is_refused():
    class Outer(Compiled):
        plain = Plain()

    with pytest.raises(TypeError, match="methods"):
        readers(Outer)
