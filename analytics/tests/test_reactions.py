"""PUT and DELETE /videos/{id}/reaction."""

from datetime import timedelta

import pytest
from django.utils import timezone

from analytics.models import Reaction
from payments.tests.kit import code, together
from videos.models import Video


def url(video) -> str:
    return f"/api/v1/videos/{video.pk}/reaction"


def card(video) -> tuple[int, int]:
    video.refresh_from_db()
    return video.likes, video.dislikes


@pytest.mark.django_db
class TestReactions:
    def test_set_repeat_switch_and_take_back(self, client_for, viewer, make_video):
        video, client = make_video(), client_for(viewer)
        for value, likes, dislikes in [
            ("like", 1, 0),
            ("like", 1, 0),
            ("dislike", 0, 1),
            ("like", 1, 0),
        ]:
            answer = client.put(url(video), {"value": value})
            assert (answer.status_code, answer.data) == (
                200,
                {"value": value, "likes": likes, "dislikes": dislikes},
            )
            assert card(video) == (likes, dislikes)
        for _ in range(2):
            answer = client.delete(url(video))
            assert answer.data == {"value": None, "likes": 0, "dislikes": 0}
        assert (card(video), Reaction.objects.count()) == ((0, 0), 0)

    def test_each_user_has_one(self, client_for, make_user, make_video):
        video = make_video()
        for value in ("like", "like", "dislike"):
            client_for(make_user()).put(url(video), {"value": value})
        assert card(video) == (2, 1)

    def test_repeating_keeps_the_time(self, client_for, viewer, make_video):
        video, client = make_video(), client_for(viewer)
        client.put(url(video), {"value": "like"})
        before = timezone.now() - timedelta(days=5)
        Reaction.objects.update(at=before)
        client.put(url(video), {"value": "like"})
        assert Reaction.objects.get().at == before
        client.put(url(video), {"value": "dislike"})
        assert Reaction.objects.get().at > before

    def test_of_a_paid_video_need_access(self, client_for, viewer, make_video, buy):
        video = make_video(price=1999)
        for method in ("put", "delete"):
            answer = getattr(client_for(viewer), method)(url(video), {"value": "like"})
            assert (answer.status_code, code(answer)) == (403, "purchase_required")
        assert (card(video), Reaction.objects.count()) == ((0, 0), 0)
        buy(viewer, video)
        assert client_for(viewer).put(url(video), {"value": "like"}).status_code == 200

    def test_of_a_hidden_video_are_not_found(self, client_for, viewer, make_video):
        for video in (make_video(visibility="private"), make_video(ready=False)):
            answer = client_for(viewer).put(url(video), {"value": "like"})
            assert (answer.status_code, code(answer)) == (404, "not_found")
        assert not Reaction.objects.exists()

    def test_need_a_signed_in_user(self, client_for, make_video):
        video = make_video()
        assert client_for().put(url(video), {"value": "like"}).status_code == 401
        assert card(video) == (0, 0)

    @pytest.mark.parametrize("body", [{}, {"value": "love"}, {"value": None}, {"value": ["like"]}])
    def test_are_like_or_dislike(self, client_for, viewer, make_video, body):
        video = make_video()
        assert client_for(viewer).put(url(video), body).status_code == 400
        assert card(video) == (0, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("people", "clicks"), [(1, 50), (25, 2)])
def test_likes_at_once_count_once_for_each_person(
    client_for, make_user, make_video, people, clicks
):
    video = make_video()
    clients = [client_for(user) for user in [make_user() for _ in range(people)] * clicks]
    likes = [lambda c=c: c.put(url(video), {"value": "like"}).status_code for c in clients]
    assert together(likes) == [200] * 50
    assert Reaction.objects.count() == people
    assert Video.objects.get(pk=video.pk).likes == people
