"""Finding what is said in a video, in its captions."""

import pytest

from streaming import texts
from videos.presentation import captioning
from videos.presentation.cues import Cue

pytestmark = pytest.mark.django_db
ENGLISH = [
    Cue(1000, 2500, "The <i>steam</i> engine"),
    Cue(3000, 4000, "Salt &amp; pepper,\n3 &lt; 4"),
    Cue(8000, 9000, "STEAM again"),
]


@pytest.fixture
def video(make_video, creator):
    video = make_video(creator=creator, duration_seconds=10.0)
    for language, cues in (
        ("en", ENGLISH),
        ("de", [Cue(500, 900, "Straße"), Cue(20_000, 21_000, "Straße zu Ende")]),
    ):
        captioning.add_caption(video=video, actor=creator, language=language, cues=cues)
    return video


@pytest.fixture
def find(client_for, video):
    def get(user=None, **asked):
        return client_for(user).get(f"/api/v1/videos/{video.pk}/captions/search", asked)

    return get


@pytest.mark.parametrize(
    ("q", "starts"),
    [
        ("steam", [1.0, 8.0]),
        ("ENGINE steam", [1.0]),
        ("eam en", [1.0]),
        ("salt & pepper", [3.0]),
        ("3 < 4", [3.0]),
        ("strasse", [0.5]),  # and not the one after the video's end
        ("<i>", []),
        ("amp;", []),
        ("nobody said this", []),
    ],
)
def test_all_words_of_a_search_occur_in_each_place(find, q, starts):
    answer = find(q=q)

    assert answer.status_code == 200
    assert [each["start_seconds"] for each in answer.json()["results"]] == starts
    assert answer.json()["is_complete"]


def test_a_place_says_where_and_what(find, video):
    (place,) = find(q="pepper", language="EN").json()["results"]

    assert place == {
        "caption": str(video.captions.get(language="en").pk),
        "language": "en",
        "start_seconds": 3.0,
        "end_seconds": 4.0,
        "text": "Salt & pepper, 3 < 4",
    }
    assert find(q="pepper", language="de").json()["results"] == []


@pytest.mark.parametrize("asked", [{}, {"q": ""}, {"q": " \t"}, {"q": "x" * 201}])
def test_a_search_without_a_word_or_too_long_is_refused(find, asked):
    answer = find(**asked)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == "q"


def test_who_may_not_watch_may_not_search(client_for, make_video, creator, viewer):
    paid = make_video(creator=creator, price=1999)
    captioning.add_caption(video=paid, actor=creator, language="en", cues=ENGLISH)
    path = f"/api/v1/videos/{paid.pk}/captions/search?q=steam"

    assert client_for().get(path).status_code == 401
    refused = client_for(viewer).get(path)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "purchase_required")
    assert len(client_for(creator).get(path).json()["results"]) == 2


def test_a_search_reads_only_so_much_and_says_so(find, monkeypatch):
    monkeypatch.setattr(texts, "MOST_FOUND", 1)
    assert find(q="steam").json()["is_complete"] is False
    assert len(find(q="steam").json()["results"]) == 1

    monkeypatch.setattr(texts, "MOST_READ", 10)
    assert find(q="steam").json() == {"results": [], "is_complete": False}
