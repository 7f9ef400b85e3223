"""The queues of messages by the weight of their work, and which stages of jobs each of them carries."""

from datetime import timedelta

from videos.models import ProcessingJob

Stage = ProcessingJob.Stage

FIRST, TRANSCODE, CAPTIONS = "first", "transcode", "captions"
STAGES_OF: dict[str, tuple[Stage, ...]] = {
    FIRST: (Stage.FIRST,),
    TRANSCODE: (Stage.REST, Stage.AGAIN),
    CAPTIONS: (Stage.CAPTIONS,),
}
QUEUE_OF: dict[int, str] = {stage: queue for queue, stages in STAGES_OF.items() for stage in stages}
LOST_AFTER = timedelta(seconds=30)  # a job that waits although a message was sent: it may be lost
