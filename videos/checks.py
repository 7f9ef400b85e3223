"""The deploy check of the programs that process videos."""

from django.core.checks import Error, Tags, register

from videos.processing import cage, tools
from videos.processing.errors import ToolMissing


@register(Tags.security, deploy=True)
def videos_can_be_processed(app_configs, **kwargs):
    """Report videos.E001 if a tool is missing, or if bubblewrap is demanded and does not work."""
    try:
        cage.describe()
        tools.versions()
    except ToolMissing as error:
        return [Error(error.detail, id="videos.E001")]
    return []
