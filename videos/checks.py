"""What must be there before videos can be processed."""

from django.core.checks import Error, Tags, register

from videos.processing import cage, tools
from videos.processing.errors import ToolMissing


@register(Tags.security, deploy=True)
def videos_can_be_processed(app_configs, **kwargs):
    """The programs are there, and so is the cage that FFMPEG_SANDBOX demands."""
    try:
        cage.describe()
        tools.versions()
    except ToolMissing as error:
        return [Error(error.detail, id="videos.E001")]
    return []
