"""Automatic captions: when they are made, and how words become cues."""

import struct
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command

from videos import jobs
from videos.errors import LeaseLost
from videos.models import Caption, ProcessingJob, Video
from videos.presentation import captioning, cues, refreshing
from videos.presentation.cues import Cue
from videos.presentation.models import CaptionWord
from videos.processing import speech
from videos.processing.errors import ToolMissing
from videos.processing.speech import Heard, cues_of, samples_of
from videos.services import catalogue, publishing, reprocessing, sources, transcribing

from .media import ffmpeg

Kind = ProcessingJob.Kind


@pytest.fixture
def on(settings, tmp_path):
    """Automatic captions are on, with a folder that only looks like a model."""
    settings.CAPTIONS_MODEL = tmp_path / "model"
    settings.CAPTIONS_MODEL.mkdir()
    return settings


@pytest.fixture
def listener(on, monkeypatch):
    """A function that sets what is heard in the place of Whisper, and the languages it was asked for."""
    asked = []

    def set_heard(language: str, *lines: str) -> list[str]:
        made = [Cue(1000 * n, 1000 * n + 900, line) for n, line in enumerate(lines)]

        def hear(samples, model, wanted, *, on_percent):
            assert samples.stat().st_size > 0
            asked.append(wanted)
            on_percent(100)
            return Heard(wanted or language, made)

        monkeypatch.setattr(speech, "hear", hear)
        return asked

    return set_heard


@pytest.fixture
def ready(media, on, encoded_once, uploaded_video, process_next):
    assert process_next().state == "done"
    uploaded_video.refresh_from_db()
    return uploaded_video


@pytest.fixture
def german(media, on, encoded_once, creator, clip, received, process_next, tmp_path):
    """A READY video whose sound is marked as German."""
    ffmpeg("-i", clip, "-c", "copy", "-metadata:s:a:0", "language=deu", tmp_path / "german.mp4")
    video = catalogue.create_video(creator=creator, title="Deutsch")
    sources.attach_source(video=video, received=received(tmp_path / "german.mp4"), actor=creator)
    assert process_next().state == "done"
    video.refresh_from_db()
    return video


def captions_of(client_for, video):
    return client_for(video.creator).get(f"/api/v1/videos/{video.pk}/captions/").json()["results"]


def test_a_new_video_is_captioned_after_it_is_ready(ready, listener, process_next, client_for):
    listener("en", "Hello.", "It is 3 < 4 &amp; so on.")
    assert ready.status == "READY"
    assert ready.job.kind == Kind.TRANSCODE

    job = process_next()

    assert (job.kind, job.state, job.percent) == (Kind.CAPTIONS, "done", 100)
    (caption,) = captions_of(client_for, ready)
    assert (caption["language"], caption["kind"]) == ("en", "captions")
    assert (caption["label"], caption["is_automatic"]) == ("English (automatic)", True)
    assert CaptionWord.objects.filter(caption=caption["id"]).exists()
    assert not caption["is_default"]
    assert caption["cues"] == 2
    refreshing.refresh(ready.pk)
    master = (ready.version_folder / "master.m3u8").read_text()
    assert 'NAME="English (automatic)"' in master
    shown = client_for(ready.creator).get(f"/api/v1/videos/{ready.pk}").json()
    assert (shown["status"], shown["processing"]["percent"]) == ("READY", 100)
    assert process_next() is None


def test_an_edited_text_is_no_automatic_one_and_outlives_a_new_file(
    ready, listener, process_next, client_for, received
):
    listener("en", "Helo.")
    process_next()
    (caption,) = captions_of(client_for, ready)

    url = f"/api/v1/videos/{ready.pk}/captions/{caption['id']}"
    renamed = client_for(ready.creator).patch(url, {"label": "Mine"}, format="json").json()
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\nHello.\n"
    edited = client_for(ready.creator).patch(url, {"text": text}, format="json").json()

    assert (renamed["is_automatic"], edited["is_automatic"]) == (True, False)
    sources.attach_source(video=ready, actor=ready.creator, received=received())
    while job := process_next():
        assert job.state == "done"
    assert [each["label"] for each in captions_of(client_for, ready)] == ["Mine"]


def test_a_new_file_is_captioned_anew(ready, listener, process_next, client_for, received):
    listener("en", "The first file.")
    process_next()
    listener("en", "The second file.")

    sources.attach_source(video=ready, actor=ready.creator, received=received())
    while job := process_next():
        assert job.state == "done"

    (caption,) = Caption.objects.filter(video=ready)
    assert "The second file." in caption.text


def test_a_deleted_caption_does_not_come_back(ready, listener, process_next):
    listener("en", "Hello.")
    process_next()
    captioning.delete_caption(caption=ready.captions.get(), actor=ready.creator)

    reprocessing.reprocess(video=ready, actor=None)
    while job := process_next():
        assert job.kind == Kind.TRANSCODE

    assert not ready.captions.exists()
    call_command("caption", str(ready.pk))  # but an operator may ask for it
    assert process_next().kind == Kind.CAPTIONS
    assert ready.captions.count() == 1


@pytest.mark.parametrize(("language", "is_forced", "made"), [
    ("de-AT", False, False), ("en", False, True), ("de", True, True),
])  # fmt: skip
def test_captions_in_the_language_of_the_sound_are_enough(
    german, listener, process_next, language, is_forced, made
):
    asked = listener("xx", "Hallo.")
    own = [Cue(0, 1000, "Own")]
    captioning.add_caption(
        video=german, actor=german.creator, language=language, is_forced=is_forced, cues=own
    )

    assert process_next().state == "done"

    assert asked == ["de"] * made  # the model is told the language of the track
    automatic = german.captions.filter(is_automatic=True)
    assert list(automatic.values_list("language", flat=True)) == ["de"] * made


def test_silence_makes_no_captions(ready, listener, process_next):
    listener("")

    assert process_next().state == "done"

    assert not ready.captions.exists()


def test_a_video_without_sound_is_not_queued(media, on, make_video, creator):
    video = make_video(creator=creator)
    assert video.source_audio_codec == ""

    assert not transcribing.queue(video)
    assert not ProcessingJob.objects.filter(kind=Kind.CAPTIONS).exists()


def test_other_work_goes_first_and_cancels_it(ready, listener, process_next):
    listener("en", "Hello.")
    captions = ProcessingJob.objects.get(kind=Kind.CAPTIONS)

    reprocessing.reprocess(video=ready, actor=None)

    captions.refresh_from_db()
    assert captions.state == "canceled"
    assert [process_next().kind for _ in range(2)] == [Kind.TRANSCODE, Kind.CAPTIONS]
    assert ready.captions.count() == 1


def test_without_the_package_the_job_waits_and_the_video_stays_as_it_is(
    ready, process_next, monkeypatch
):
    def missing(model):
        raise ToolMissing("faster-whisper is not installed")

    monkeypatch.setattr(speech, "load", missing)

    job = process_next()

    assert (job.state, job.strikes) == ("queued", 0)
    ready.refresh_from_db()
    assert ready.status == "READY"
    assert not ready.captions.exists()


def test_a_job_of_before_ends_when_captions_are_switched_off(ready, process_next, settings):
    settings.CAPTIONS_MODEL = None

    job = process_next()

    assert (job.state, job.error_code) == ("failed", "captions_off")
    ready.refresh_from_db()
    assert ready.status == "READY"


def test_a_failure_fails_the_captions_alone(ready, process_next, monkeypatch, trail):
    def fails(*_, **__):
        raise ValueError("A defect.")

    monkeypatch.setattr(speech, "hear", fails)
    before = trail(ready.pk)

    assert process_next().state == "failed"

    ready.refresh_from_db()
    assert ready.status == "READY"
    assert trail(ready.pk) == before


def test_a_deletion_while_it_works_leaves_nothing(ready, listener, monkeypatch):
    listener("en", "Hello.")
    job = jobs.claim_next("worker")
    assert job is not None
    hear = speech.hear

    def deleted_meanwhile(*arguments, **options):
        Video.objects.filter(pk=ready.pk).update(source_path="sources/another")
        return hear(*arguments, **options)

    monkeypatch.setattr(speech, "hear", deleted_meanwhile)
    with pytest.raises(LeaseLost):
        publishing.process(job)

    assert not Caption.objects.filter(video=ready).exists()
    job.refresh_from_db()
    assert job.state == "running"


def test_the_command_says_what_it_does(ready, listener, process_next, capsys):
    listener("en", "Hello.")
    process_next()

    call_command("caption", "--missing")
    assert "0 queued." in capsys.readouterr().out
    with pytest.raises(CommandError, match="1 refused"):
        call_command("caption", str(ready.pk))
    assert "has captions already" in capsys.readouterr().err
    with pytest.raises(CommandError, match="There is no video"):
        call_command("caption", "x")
    with pytest.raises(CommandError, match="Name ids"):
        call_command("caption")


def test_the_command_refuses_without_a_model(db, settings):
    settings.CAPTIONS_MODEL = None

    with pytest.raises(CommandError, match="CAPTIONS_MODEL"):
        call_command("caption", "--missing")


# --- words and cues -------------------------------------------------------------------------------


def said(text: str, *, at: float = 0.0, each: float = 0.3, pause: float = 0.0):
    return [
        (at + n * (each + pause), at + n * (each + pause) + each, f" {word}")
        for n, word in enumerate(text.split())
    ]


def test_words_become_cues_of_two_lines_at_most():
    words = said("word " * 200, each=0.2)

    made = cues_of(words)

    assert " ".join(cue.text.replace("\n", " ") for cue in made).split() == ["word"] * 200
    for cue, following in pairwise(made):
        assert cue.start < cue.end <= following.start
    for cue in made:
        assert cue.end - cue.start <= 6000
        assert cue.text.count("\n") <= 1
        assert all(len(line) <= 48 for line in cue.text.split("\n"))


def test_a_cue_ends_after_a_sentence_and_before_a_pause():
    words = said("This is the first sentence of them.") + said("Second.", at=2.2)
    words += said("Third after a pause.", at=9)

    assert [cue.text for cue in cues_of(words)] == [
        "This is the first sentence of them.",
        "Second.",
        "Third after a pause.",
    ]


def test_a_short_word_is_shown_long_enough_but_not_into_the_next_cue():
    made = cues_of([(1.0, 1.1, " Yes."), (2.5, 2.6, " No."), (4.0, 9.0, " Well.")])

    assert [(cue.start, cue.end) for cue in made] == [(1000, 1700), (2500, 3200), (4000, 9000)]


def test_what_is_said_is_no_markup():
    (cue,) = cues_of([(0, 1, " <b>"), (1, 2, " & -->")])

    assert cue.text == "&lt;b> &amp; --&gt;"
    assert cues.parse(cues.write([cue])) == [cue]


def test_a_long_sound_is_cut_where_it_is_quiet(tmp_path, monkeypatch):
    monkeypatch.setattr(speech, "WINDOW_SECONDS", 4)
    monkeypatch.setattr(speech, "QUIET_SECONDS", 2)
    loud = struct.pack("2h", 9000, -9000) * (speech.RATE // 2)
    quiet = bytes(speech.RATE)
    whole = loud + loud + loud + quiet + loud + loud + loud
    (tmp_path / "sound").write_bytes(whole)

    windows = list(speech._windows(tmp_path / "sound"))

    joined = b""
    for begin, window in windows:
        assert begin * 2 == len(joined)
        joined += window
    assert joined == whole
    assert 3.0 <= windows[1][0] / speech.RATE <= 3.5


def test_the_sound_of_a_version_is_decoded_whole(ready, tmp_path):
    samples = samples_of(
        ready.version_folder, "audio-1-und", tmp_path, seconds=2, on_tick=lambda: None
    )

    assert samples.stat().st_size / 2 / speech.RATE == pytest.approx(2, abs=0.05)
