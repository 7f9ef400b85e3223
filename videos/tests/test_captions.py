"""Captions over HTTP: adding, changing, deleting, and every way in which a file can be wrong."""

import doctest

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import AuditEntry
from videos.presentation import captioning, cues, words
from videos.presentation.models import Caption

SRT = "1\n00:00:01,000 --> 00:00:02,000\nGrüße\n\n2\n00:00:03,000 --> 00:00:04,500\nZwei\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator)


@pytest.fixture
def path(video):
    return f"/api/v1/videos/{video.pk}/captions/"


def upload(content: str | bytes, **fields):
    data = content if isinstance(content, bytes) else content.encode()
    return {"file": SimpleUploadedFile("captions.srt", data), "language": "de", **fields}


def post(client_for, path, user, content, **fields):
    return client_for(user).post(path, upload(content, **fields), format="multipart")


def listed(client_for, path) -> list[dict]:
    return client_for(None).get(path).json()["results"]


def shown(client_for, caption, user=None) -> str:
    answer = client_for(user).get(caption["url"])
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "text/vtt; charset=utf-8"
    return answer.content.decode()


def test_a_caption_is_added_read_changed_and_deleted(client_for, creator, video, path):
    added = post(client_for, path, creator, SRT, is_default=True)
    assert added.status_code == 201, added.content
    caption = added.json()
    assert (caption["language"], caption["label"], caption["kind"]) == (
        "de",
        "Deutsch",
        "subtitles",
    )
    assert (caption["cues"], caption["is_default"], caption["is_automatic"]) == (2, True, False)
    text = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nGrüße\n\n00:00:03.000 --> 00:00:04.500\nZwei\n"
    assert shown(client_for, caption) == text
    assert listed(client_for, path) == [caption]

    one = f"{path}{caption['id']}"
    body = {"label": "Untertitel", "text": VTT, "language": "pt_br", "is_sdh": True}
    changed = client_for(creator).patch(one, body, format="json")
    assert changed.status_code == 200, changed.content
    assert changed.json()["label"] == "Untertitel"
    assert changed.json()["language"] == "pt-BR"
    assert "Hello" in shown(client_for, caption)
    assert client_for(None).get(one).json() == changed.json()

    assert client_for(creator).delete(one).status_code == 204
    assert client_for(None).get(one).status_code == 404
    assert client_for(None).get(caption["url"]).status_code == 404
    entries = AuditEntry.objects.filter(target_id=str(video.pk), action="video.changed")
    assert [entry.data["fields"] for entry in entries] == [["captions"]] * 3


@pytest.mark.parametrize(
    "data",
    [
        SRT.encode(),
        b"\xef\xbb\xbf" + SRT.encode(),
        SRT.encode("utf-16"),
        b"\xfe\xff" + SRT.encode("utf-16-be"),
        SRT.encode("cp1252"),
        SRT.replace("\n", "\r\n").encode(),
        SRT.replace("\n", "\r").encode(),
        SRT.replace("\n\n2", "\n2").encode(),  # without the empty line
    ],
)
def test_encodings_and_line_ends_are_recognised(client_for, creator, path, data):
    caption = post(client_for, path, creator, data).json()
    assert caption["cues"] == 2
    assert "Grüße" in shown(client_for, caption)


LONG = "x" * 4001
WRONG = {
    "": "no cue",
    "hello": "Line 1: The file is neither WebVTT",
    "[Script Info]\nTitle: x\n": "Line 1: This is an ASS file",
    "{\"a\": 1}": "Line 1: The file is neither",
    "WEBVTT\n": "no cue",
    "WEBVTT\n\n00:01 --> 00:02\nx": "Line 3: A line with the times",
    "WEBVTT\n\n00:03.000 --> 00:02.000\nx": "Line 3: The cue ends before it begins",
    "WEBVTT\n\n00:01.000 --> 00:02.000\nx\n\nid\nother\n00:03.000 --> 00:04.000": "Line 7: A line",
    "WEBVTT\n\n00:01.000 --> 00:02.000\na --> b": "Line 4: The text of a cue holds -->",
    "WEBVTT\n\n00:61.000 --> 00:62.000\nx": "Line 3: The time",
    "1\n00:00:01,000 --> 00:00:02,000\nx\n\n2\nhaha\n": "Line 5: A line with the times",
    f"WEBVTT\n\n00:01.000 --> 00:02.000\n{LONG}": "Line 3: The cue has more than 4000",
    "WEBVTT\n\n99:00:00.000 --> 9999:00:00.000\nx": "longer than a video",
    "WEBVTT\n\n00:01.000 --> 00:02.000\na\x01b": "Line 4: There is a character that is no text",
    "WEBVTT\n\n01:00.000 --> 01:02.000\nx": "All cues begin after the end of the video",
}  # fmt: skip


@pytest.mark.parametrize(("content", "reason"), WRONG.items())
@pytest.mark.parametrize("way", ["file", "text"])
def test_a_wrong_file_is_refused_with_its_line_and_nothing_changes(
    client_for, creator, video, path, content, reason, way
):
    if way == "file":
        answer = post(client_for, path, creator, content)
    else:
        body = {"language": "de", "text": content}
        answer = client_for(creator).post(path, body, format="json")
    assert answer.status_code == 400, answer.content
    (error,) = answer.json()["errors"]
    assert error["attr"] == way
    if content:  # Django and REST framework say in their own words that a file or text is empty
        assert reason in error["detail"]
    assert not Caption.objects.exists()
    assert not AuditEntry.objects.filter(action="video.changed").exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x81\x8d\x9d", "Line 1: The file is no text"),
        (SRT.encode("utf-16-le"), "Line 1: There is a character that is no text"),
        (b"\xff\xfe1\x00\n", "Line 1: The file is no text"),
        (b"WEBVTT\n\n" + b"x" * 1_000_000, "more than 1000000 bytes"),
        (b"WEBVTT\n\n" + b"00:01.000 --> 00:02.000\na\n\n" * 20_200, "more than 20000 cues"),
    ],
)
def test_bytes_that_are_no_captions_are_refused(client_for, creator, path, data, reason):
    answer = post(client_for, path, creator, data)
    assert answer.status_code == 400, answer.content
    assert reason in answer.json()["errors"][0]["detail"]
    assert not Caption.objects.exists()


def test_the_text_of_a_cue_has_only_tags_of_webvtt(client_for, creator, path):
    hostile = (
        "WEBVTT\n\nSTYLE\n::cue { background: url(//evil) }\n\n00:01.000 --> 00:02.000 align:start x:y\n"
        "<v Ann onload=x>Hi</v> <b onclick=alert(1)>there</b> <script>alert(1)</script> <img src=x>\n"
        "I <3 you & me &lt;ok&gt; <c.red.x>c</c> <lang en><00:01.500>go</lang> <i"
    )
    text = shown(client_for, post(client_for, path, creator, hostile).json())
    assert text == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000 align:start\n"
        "<v Ann onload=x>Hi</v> <b>there</b> &lt;script>alert(1)&lt;/script> &lt;img src=x>\n"
        "I &lt;3 you &amp; me &lt;ok&gt; <c.red.x>c</c> <lang en><00:01.500>go</lang> &lt;i\n"
    )
    subrip = (
        "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<font color=red>up</font> <i>a</i> --> "
        "<script>x</script>\n"
    )
    text = shown(client_for, post(client_for, path, creator, subrip).json())
    assert text == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000 line:0\nup <i>a</i> --&gt; "
        "&lt;script>x&lt;/script>\n"
    )


def test_a_tag_that_is_left_out_leaves_no_empty_line(client_for, creator, path):
    """An empty line would end the cue, and the next line would be no cue."""
    subrip = "1\n00:00:01,000 --> 00:00:02,000\na\n<font color=red>\n{\\b1}\nb\n</font>\n"
    text = shown(client_for, post(client_for, path, creator, subrip).json())
    assert text == "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\na\nb\n"


def test_cues_are_cut_at_the_end_of_the_video(client_for, creator, path):
    text = "WEBVTT\n\n00:59.000 --> 01:02.000\nlast\n\n01:00.000 --> 01:01.000\nnever\n"
    caption = post(client_for, path, creator, text).json()
    assert shown(client_for, caption) == "WEBVTT\n\n00:00:59.000 --> 00:01:00.000\nlast\n"


@pytest.mark.parametrize(
    "tag", ["english", "xx", "e", "en-", "de--DE", "-", "en en", "e\u0301n", "x" * 61]
)
def test_a_language_is_a_tag_of_bcp_47(client_for, creator, path, tag):
    answer = post(client_for, path, creator, VTT, language=tag)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["attr"] == "language"
    assert not Caption.objects.exists()


def test_fields_that_are_missing_or_doubled_are_all_named(client_for, creator, path):
    errors = client_for(creator).post(path, {}, format="json").json()["errors"]
    assert {error["attr"] for error in errors} == {"language", "file"}
    both = {**upload(VTT), "text": VTT}
    answer = client_for(creator).post(path, both, format="multipart")
    assert answer.json()["errors"][0]["detail"] == "Send either file or text."
    assert not Caption.objects.exists()


def test_a_form_that_is_not_utf8_is_refused(client_for, creator, path):
    """A label in another character set is refused: it would be stored with signs in its place."""
    form = encode_multipart(BOUNDARY, upload(VTT, label="Gruesse")).replace(b"ue", b"\xfc")
    answer = client_for(creator).generic("POST", path, form, content_type=MULTIPART_CONTENT)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "parse_error")
    assert not Caption.objects.exists()


def test_one_caption_is_the_default(client_for, creator, video, path):
    first = post(client_for, path, creator, VTT, is_default=True).json()
    second = post(client_for, path, creator, VTT, is_default=True).json()
    assert [each["is_default"] for each in listed(client_for, path)] == [False, True]
    client_for(creator).patch(f"{path}{first['id']}", {"is_default": True}, format="json")
    assert [each["is_default"] for each in listed(client_for, path)] == [True, False]
    assert second["label"] == first["label"]


def test_only_the_owner_and_administrators_change_captions(
    client_for, creator, admin, make_user, video, path
):
    caption = post(client_for, path, creator, VTT).json()
    one = f"{path}{caption['id']}"
    for user, status in ((None, 401), (make_user(), 403), (make_user("CREATOR"), 403)):
        assert post(client_for, path, user, VTT).status_code == status
        assert client_for(user).patch(one, {"label": "x"}, format="json").status_code == status
        assert client_for(user).delete(one).status_code == status
    assert Caption.objects.get().label == caption["label"]
    assert client_for(admin).patch(one, {"label": "x"}, format="json").status_code == 200
    assert client_for(admin).delete(one).status_code == 204


def test_the_list_has_pages_as_every_list(client_for, creator, path):
    """The oldest caption comes first, and following ``next`` visits each of them once."""
    client = client_for(creator)
    assert client.get(path).json() == {"next": None, "previous": None, "results": []}
    languages = ("de", "en", "fr")
    made = [post(client_for, path, creator, VTT, language=each).json()["id"] for each in languages]
    first = client.get(path, {"page_size": 2}).json()
    last = client.get(first["next"]).json()
    assert [each["id"] for each in first["results"] + last["results"]] == made
    assert (first["previous"], last["next"]) == (None, None)
    assert client.get(path, {"page_size": "x"}).status_code == 400
    assert client.get(path, {"cursor": "x"}).status_code == 400


def test_captions_of_a_hidden_or_deleted_video_are_not_found(
    client_for, creator, make_video, make_user
):
    video = make_video(creator=creator, visibility="private")
    path = f"/api/v1/videos/{video.pk}/captions/"
    caption = post(client_for, path, creator, VTT).json()
    stranger = make_user()
    for address in (path, f"{path}{caption['id']}", caption["url"]):
        assert client_for(stranger).get(address).status_code == 404
        assert client_for(creator).get(address).status_code == 200
    client_for(creator).delete(f"/api/v1/videos/{video.pk}")
    for address in (path, f"{path}{caption['id']}", caption["url"]):
        assert client_for(creator).get(address).status_code == 404


def test_a_caption_belongs_to_its_video(client_for, creator, make_video, path):
    caption = post(client_for, path, creator, VTT).json()
    other = make_video(creator=creator)
    address = f"/api/v1/videos/{other.pk}/captions/{caption['id']}"
    assert client_for(creator).get(address).status_code == 404
    assert client_for(creator).get(f"{address}/text").status_code == 404
    assert client_for(creator).delete(address).status_code == 404
    assert Caption.objects.count() == 1


def test_a_video_has_a_hundred_captions_at_most(client_for, creator, path, monkeypatch):
    monkeypatch.setattr(captioning, "MOST_CAPTIONS", 1)
    assert post(client_for, path, creator, VTT).status_code == 201
    answer = post(client_for, path, creator, VTT)
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["code"] == "too_many_captions"
    assert Caption.objects.count() == 1


def test_a_long_text_that_fits_is_not_read_again():
    blocks = [cues.Cue(1000 * n, 1000 * n + 900, f"a &amp; <b>{n}</b>") for n in range(20)]
    text = cues.write(blocks)
    assert cues.cut(text, 19.9) is text
    assert cues.cut(text, None) is text
    for until in (19.8, 10, 9.5, 0.5):
        assert cues.cut(text, until) == cues.write(blocks, until=until)


# What the two formats are made of, with characters that some programs take for ends of lines.
LETTERS = "<>&;-:.,\n\r\t 0123456789abicvu/{}\\='\"ä\u2028\x85\x1c\ufeffWEBVTTNOTE"
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3_600_000),
            st.integers(1, 10_000),
            st.text(LETTERS, max_size=60),
            st.booleans(),
        ),
        max_size=5,
    ),
    st.sampled_from(["WEBVTT\n\n{}", "{}"]),
)
def test_a_file_is_refused_or_reads_the_same_again(found, frame):
    """Whatever a text holds, the stored captions are WebVTT with the same cues and no HTML."""
    blocks = "\n\n".join(
        f"{number}\n{cues.stamp(start)} --> {cues.stamp(start + length)}\n"
        f"{'<script>' if tag else ''}{text}"
        for number, (start, length, text, tag) in enumerate(found, 1)
    )
    try:
        read = cues.parse(frame.format(blocks))
    except cues.NotCaptions:
        return
    stored = cues.write(read)
    assert cues.parse(stored) == read
    assert "<script" not in stored
    assert stored.count("-->") == len(read)


@unhurried
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    for content in (data, b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + data):
        try:
            cues.read(content)
        except cues.NotCaptions:
            continue


class TestBeingFound:
    """`GET /videos/?search=` finds a video by what is said in it."""

    SAID = (
        "WEBVTT\n\n00:01.000 --> 00:02.000 align:start\nThe <i>Häfen</i> of Kyōto&amp;co, "
        "don't\n\n00:03.000 --> 00:04.000\n東京の海 STRASSE\n"
    )

    @pytest.fixture
    def found(self, client_for):
        def ask(words: str, user=None) -> list[str]:
            answer = client_for(user).get("/api/v1/videos/", {"search": words})
            assert answer.status_code == 200, answer.content
            return [each["id"] for each in answer.json()["results"]]

        return ask

    @pytest.mark.parametrize(
        ("words", "is_found"),
        [
            ("häfen", True), ("HÄFEN", True), ("ha\u0308fen", True), ("kyōto", True), ("co", True),
            ("don't", True), ("東京", True), ("海", True), ("straße", True), ("\uff34he", True),
            ("the kyōto", True), ("häfen strasse", True), ("the mountains", False),
            ("häf", False), ("align", False), ("00", False), ("amp", False), ("!", False),
        ],
    )  # fmt: skip
    def test_by_whole_words(self, client_for, creator, video, path, found, words, is_found):
        post(client_for, path, creator, self.SAID)
        assert found(words) == ([str(video.pk)] if is_found else [])

    def test_words_may_be_in_the_title_and_in_what_is_said(
        self, client_for, creator, make_video, found
    ):
        video = make_video(creator=creator, title="Harbours")
        post(client_for, f"/api/v1/videos/{video.pk}/captions/", creator, VTT)
        assert found("harbour hello") == [str(video.pk)]
        assert found("harbour hell") == []

    def test_only_what_is_said_now(self, client_for, creator, video, path, found):
        caption = post(client_for, path, creator, VTT).json()
        one = f"{path}{caption['id']}"
        client_for(creator).patch(one, {"text": SRT}, format="json")
        assert (found("hello"), found("zwei")) == ([], [str(video.pk)])
        client_for(creator).patch(one, {"label": "Other"}, format="json")
        assert found("zwei") == [str(video.pk)]
        client_for(creator).delete(one)
        assert found("zwei") == []

    def test_by_nobody_who_may_not_see_the_video(
        self, client_for, creator, viewer, make_video, found
    ):
        video = make_video(creator=creator, visibility="private")
        post(client_for, f"/api/v1/videos/{video.pk}/captions/", creator, VTT)
        assert found("hello", viewer) == []
        assert found("hello", creator) == [str(video.pk)]

    def test_the_examples(self):
        assert doctest.testmod(words).failed == 0
