"""Where only users may watch, nobody else is shown an offer."""

import pytest

from payments.tests.kit import code

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["offers/{}", "offers?video={}", "plans"])
def path(request, make_video):
    video = make_video(price=1999)
    return f"/api/v1/payments/{request.param.format(video.pk)}"


def test_without_anonymous_playback_offers_need_a_sign_in(client_for, viewer, settings, path):
    open_to_all = client_for().get(path)
    settings.ANONYMOUS_PLAYBACK = False
    refused = client_for().get(path)

    assert open_to_all.status_code == 200
    assert (refused.status_code, code(refused)) == (401, "not_authenticated")
    assert refused["WWW-Authenticate"] == 'Bearer realm="api"'
    assert b"amount" not in refused.content
    assert client_for(viewer).get(path).status_code == 200


def test_an_unknown_video_is_refused_like_a_known_one(client_for, settings, make_video):
    """Otherwise a stranger would learn which videos exist."""
    settings.ANONYMOUS_PLAYBACK = False
    unknown = "01890000-0000-7000-8000-000000000000"
    for route in ("payments/offers", "stream"):
        answers = [client_for().get(f"/api/v1/{route}/{pk}") for pk in (make_video().pk, unknown)]
        assert [answer.status_code for answer in answers] == [401, 401]
        assert answers[0].content == answers[1].content
