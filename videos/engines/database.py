"""The engine without a broker: each worker looks into the table every WORKER_POLL_SECONDS."""

from uuid import UUID


class DatabaseEngine:
    """Sends nothing: workers find jobs by themselves, and each of them does the periodic work."""

    def wake(self, job_id: UUID, stage: int) -> None:
        """Send nothing."""

    def wake_again(self) -> int:
        """Send nothing."""
        return 0

    def fault(self) -> str:
        """Return that nothing is wrong: without the database there is no job either."""
        return ""
