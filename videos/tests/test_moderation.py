"""Reports, decisions, appeals and suspensions: the services and the two routes of the API."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import services as accounts
from accounts.models import User
from audit.models import AuditEntry
from config.errors import NotVisible
from videos.models import Video
from videos.moderation import appealing, cases, suspending, waiting
from videos.moderation.errors import (
    AlreadyDecided,
    AlreadySuspended,
    AnotherMustDecide,
    NotSuspendable,
    OwnVideo,
)
from videos.moderation.models import Appeal, ModerationCase, Report, Suspension
from videos.services import catalogue
from videos.signals import moderation_waits

URL = "/api/v1/videos/"
pytestmark = pytest.mark.django_db
SPAM = {"reason": "spam", "detail": "It sells watches."}
ILLEGAL = {"reason": "illegal", "note": "Minute two."}


def snapshot() -> list:
    """Return all that moderation may change."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (Video, ModerationCase, Report, Appeal, Suspension, User)
    ] + [AuditEntry.objects.exclude(action="api.request").count()]


@pytest.fixture
def moderator(make_user):
    return accounts.set_moderator(user_id=make_user().pk, is_moderator=True, actor=None)


@pytest.fixture
def other_moderator(make_user):
    return accounts.set_moderator(user_id=make_user().pk, is_moderator=True, actor=None)


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, title="The harbour")


@pytest.fixture
def case(video, viewer):
    cases.report(video=video, reporter=viewer, reason="spam")
    return ModerationCase.objects.get()


@pytest.fixture
def taken_down(case, moderator):
    return cases.take_down(case_id=case.pk, actor=moderator, **ILLEGAL)


class TestReports:
    def test_a_second_report_of_a_person_is_folded(self, client_for, viewer, video, trail):
        first = client_for(viewer).post(f"{URL}{video.pk}/reports", SPAM)
        again = {"reason": "illegal", "detail": "Look again."}
        second = client_for(viewer).post(f"{URL}{video.pk}/reports", again)

        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json().items() >= SPAM.items()
        assert second.json() == {**first.json(), **again}
        assert Report.objects.count() == ModerationCase.objects.count() == 1
        assert trail(video.pk) == ["video.reported", "video.reported"]

    def test_reports_of_several_people_are_one_case(self, client_for, make_user, video):
        for _ in range(3):
            answer = client_for(make_user()).post(f"{URL}{video.pk}/reports", {"reason": "other"})
            assert (answer.status_code, answer.json()["detail"]) == (201, "")
        assert ModerationCase.objects.get().reports.count() == 3

    def test_after_a_decision_a_report_opens_a_new_case(self, client_for, case, viewer, moderator):
        cases.dismiss(case_id=case.pk, actor=moderator)
        answer = client_for(viewer).post(f"{URL}{case.video_id}/reports", SPAM)
        assert answer.status_code == 201
        assert ModerationCase.objects.count() == 2

    @pytest.mark.parametrize(
        ("body", "attr"),
        [
            ({}, "reason"),
            ({"reason": "boring"}, "reason"),
            ({"reason": None}, "reason"),
            ({"reason": "spam", "detail": "x" * 2001}, "detail"),
            ({"reason": "spam", "detail": None}, "detail"),
        ],
    )
    def test_what_is_no_report_is_refused(self, client_for, viewer, video, body, attr):
        before = snapshot()
        answer = client_for(viewer).post(f"{URL}{video.pk}/reports", body)
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, attr)
        assert snapshot() == before

    def test_hidden_videos_own_videos_and_strangers_are_refused(
        self, client_for, viewer, creator, make_video, video, taken_down
    ):
        draft = make_video(ready=False)
        private = make_video(visibility="private")
        mine = make_video(creator=viewer)
        before = snapshot()
        for target, user, code in (
            (draft, viewer, 404),
            (private, viewer, 404),
            (taken_down.video, viewer, 404),
            (mine, viewer, 409),
            (mine, None, 401),
        ):
            answer = client_for(user).post(f"{URL}{target.pk}/reports", SPAM)
            assert answer.status_code == code
        assert snapshot() == before


class TestDecisions:
    def test_a_dismissal_is_recorded_and_undone(self, case, moderator, trail):
        cases.dismiss(case_id=case.pk, actor=moderator)
        case.refresh_from_db()
        assert (case.status, case.decided_by) == ("dismissed", moderator)

        cases.reopen(case_id=case.pk, actor=moderator)
        case.refresh_from_db()
        assert (case.status, case.decided_by, case.decided_at) == ("open", None, None)
        assert case.reports.count() == 1
        assert trail(case.video_id) == ["video.reported", "case.dismissed", "case.reopened"]

    def test_a_video_that_is_taken_down_is_its_owners_alone(
        self, client_for, taken_down, viewer, creator, admin
    ):
        path = f"{URL}{taken_down.video_id}"
        for user, code in ((None, 404), (viewer, 404), (creator, 200), (admin, 200)):
            assert client_for(user).get(path).status_code == code
            listed = client_for(user).get(URL).json()["results"]
            assert len(listed) == (code == 200)
        shown = client_for(creator).get(path).json()["moderation"]
        assert shown == {
            "status": "taken_down",
            "reason": "illegal",
            "note": "Minute two.",
            "taken_down_at": shown["taken_down_at"],
            "appeal": None,
            "appeals_left": 2,
        }
        assert listed[0]["moderation"]["reason"] == "illegal"

    def test_restored_it_is_where_it_was(self, client_for, taken_down, moderator, viewer, creator):
        cases.restore(case_id=taken_down.pk, actor=moderator)
        path = f"{URL}{taken_down.video_id}"
        assert client_for(viewer).get(path).status_code == 200
        assert "moderation" not in client_for(viewer).get(path).json()
        assert client_for(creator).get(path).json()["moderation"] is None
        assert len(client_for().get(URL).json()["results"]) == 1

    def test_a_decision_names_the_state_that_it_expects(self, case, moderator, other_moderator):
        cases.warn(case_id=case.pk, actor=moderator, **ILLEGAL)
        before = snapshot()
        for decide, words in (
            (cases.take_down, ILLEGAL),
            (cases.dismiss, {}),
            (cases.warn, ILLEGAL),
            (cases.restore, {}),
            (appealing.reject, {"note": ""}),
        ):
            with pytest.raises(AlreadyDecided, match=r"faster.*creator warned"):
                decide(case_id=case.pk, actor=other_moderator, **words)
        assert snapshot() == before

    def test_nobody_judges_their_own_video(self, video, creator, viewer, moderator, case):
        accounts.set_moderator(user_id=creator.pk, is_moderator=True, actor=None)
        creator.refresh_from_db()
        who = {"case_id": case.pk, "actor": creator}
        before = snapshot()
        with pytest.raises(OwnVideo):
            cases.dismiss(**who)
        with pytest.raises(OwnVideo):
            cases.open_case(video_id=video.pk, actor=creator)
        assert snapshot() == before
        cases.take_down(case_id=case.pk, actor=moderator, **ILLEGAL)
        before = snapshot()
        with pytest.raises(OwnVideo):
            cases.restore(**who)
        with pytest.raises(OwnVideo):
            appealing.reject(**who, note="")
        assert snapshot() == before

    def test_a_second_open_case_stops_the_reopening_of_the_first(self, case, moderator, viewer):
        cases.dismiss(case_id=case.pk, actor=moderator)
        cases.report(video=case.video, reporter=viewer, reason="spam")
        before = snapshot()
        with pytest.raises(AlreadyDecided, match="newer open case"):
            cases.reopen(case_id=case.pk, actor=moderator)
        assert snapshot() == before

    def test_what_waits_ends_with_its_video(self, client_for, case, moderator, creator, make_video):
        catalogue.delete_video(video=case.video, actor=creator)
        case.refresh_from_db()
        assert (case.status, case.decided_by) == ("moot", None)
        with pytest.raises(AlreadyDecided):
            cases.take_down(case_id=case.pk, actor=moderator, **ILLEGAL)
        with pytest.raises(NotVisible):
            cases.open_case(video_id=case.video_id, actor=moderator)

        catalogue.restore_video(video_id=case.video_id, actor=None)
        again = cases.open_case(video_id=case.video_id, actor=moderator)
        cases.take_down(case_id=again.pk, actor=moderator, **ILLEGAL)
        appealing.appeal(video=case.video, creator=creator, detail="Please.")
        catalogue.delete_video(video=case.video, actor=creator)
        assert Appeal.objects.get().status == "moot"
        restored = catalogue.restore_video(video_id=case.video_id, actor=None)
        assert restored.taken_down_at is not None  # a deletion is no way around

    def test_a_list_with_videos_that_are_taken_down_costs_two_queries_more(
        self, client_for, creator, make_video, moderator
    ):
        made = [make_video(creator=creator) for _ in range(12)]
        counts = []
        for number in (0, 1, 11):
            for video in made[: number or 0]:
                if not ModerationCase.objects.filter(video=video, status="taken_down").exists():
                    row = cases.open_case(video_id=video.pk, actor=moderator)
                    cases.take_down(case_id=row.pk, actor=moderator, **ILLEGAL)
            client_for(creator).get(URL)
            with CaptureQueriesContext(connection) as queries:
                client_for(creator).get(URL)
            counts.append(len(queries))
        assert counts == [counts[0], counts[0] + 2, counts[0] + 2]


class TestAppeals:
    def test_an_appeal_is_filed_rejected_and_filed_again_and_then_it_is_final(
        self, client_for, taken_down, creator, other_moderator, trail
    ):
        path = f"{URL}{taken_down.video_id}/appeal"
        first = client_for(creator).post(path, {"detail": "It is a harbour."})
        assert (first.status_code, first.json()["status"]) == (201, "open")
        assert _code(client_for(creator).post(path, {"detail": "Again"})) == (409, "appeal_open")
        appealing.reject(case_id=taken_down.pk, actor=other_moderator, note="No.")
        shown = client_for(creator).get(path.removesuffix("/appeal")).json()["moderation"]
        assert (shown["appeals_left"], shown["appeal"]["answer"]) == (1, "No.")
        assert client_for(creator).post(path, {"detail": "Again"}).status_code == 201
        appealing.reject(case_id=taken_down.pk, actor=other_moderator, note="Still no.")
        before = snapshot()
        assert _code(client_for(creator).post(path, {"detail": "?"})) == (409, "appeals_used_up")
        assert snapshot() == before
        assert trail(taken_down.video_id)[-4:] == ["appeal.filed", "appeal.rejected"] * 2

    def test_a_restored_video_grants_the_appeal(self, taken_down, creator, other_moderator):
        appealing.appeal(video=taken_down.video, creator=creator, detail="Please.")
        cases.restore(case_id=taken_down.pk, actor=other_moderator, note="Sorry.")
        appeal = Appeal.objects.get()
        assert (appeal.status, appeal.answer, appeal.decided_by) == (
            "granted",
            "Sorry.",
            other_moderator,
        )

    def test_another_moderator_decides_where_there_is_one(
        self, taken_down, creator, moderator, other_moderator, admin
    ):
        appealing.appeal(video=taken_down.video, creator=creator, detail="Please.")
        who = {"case_id": taken_down.pk, "actor": moderator, "note": "No."}
        before = snapshot()
        with pytest.raises(AnotherMustDecide):
            appealing.reject(**who)
        assert snapshot() == before
        User.objects.filter(pk=other_moderator.pk).update(is_active=False)
        with pytest.raises(AnotherMustDecide):
            appealing.reject(**who)  # an administrator can
        User.objects.exclude(pk__in=[moderator.pk, creator.pk]).update(is_active=False)
        assert appealing.reject(**who).status == "rejected"

    def test_only_the_owner_appeals_and_only_against_a_take_down(
        self, client_for, viewer, creator, admin, taken_down, make_video
    ):
        path = f"{URL}{taken_down.video_id}/appeal"
        up = make_video(creator=creator)
        before = snapshot()
        body = {"detail": "Please."}
        assert client_for().post(path, body).status_code == 401
        assert client_for(viewer).post(path, body).status_code == 404
        assert client_for(admin).post(path, body).status_code == 403
        answer = client_for(creator).post(f"{URL}{up.pk}/appeal", body)
        assert _code(answer) == (409, "not_taken_down")
        for wrong in ({}, {"detail": ""}, {"detail": "x" * 2001}):
            assert client_for(creator).post(path, wrong).status_code == 400
        assert snapshot() == before


class TestSuspensions:
    def test_the_videos_leave_the_catalogue_and_come_back(
        self, client_for, video, creator, viewer, moderator
    ):
        suspending.suspend(creator_id=creator.pk, actor=moderator, **ILLEGAL)
        assert client_for(viewer).get(f"{URL}{video.pk}").status_code == 404
        assert client_for(viewer).get(URL).json()["results"] == []
        creator.refresh_from_db()
        assert client_for(creator).get(f"{URL}{video.pk}").status_code == 200
        assert not creator.may_offer

        suspending.lift(creator_id=creator.pk, actor=moderator)
        assert client_for(viewer).get(f"{URL}{video.pk}").status_code == 200
        assert len(client_for(viewer).get(URL).json()["results"]) == 1
        entries = AuditEntry.objects.filter(target_id=str(creator.pk), actor_id=moderator.pk)
        actions = entries.order_by("at").values_list("action", flat=True)
        assert list(actions) == ["creator.suspended", "creator.suspension_lifted"]

    def test_what_cannot_be_suspended_stays(self, creator, moderator, other_moderator, admin):
        suspending.suspend(creator_id=creator.pk, actor=moderator, **ILLEGAL)
        before = snapshot()
        for who, refusal in (
            (creator, AlreadySuspended),
            (admin, NotSuspendable),
            (other_moderator, NotSuspendable),
        ):
            with pytest.raises(refusal):
                suspending.suspend(creator_id=who.pk, actor=other_moderator, **ILLEGAL)
        with pytest.raises(AlreadySuspended):
            suspending.lift(creator_id=admin.pk, actor=moderator)
        with pytest.raises(NotVisible):
            suspending.suspend(creator_id=moderator.pk.__class__(int=0), actor=moderator, **ILLEGAL)
        assert snapshot() == before

    def test_a_suspended_moderator_lifts_nothing_of_their_own(self, creator, moderator):
        suspending.suspend(creator_id=creator.pk, actor=moderator, **ILLEGAL)
        before = snapshot()
        with pytest.raises(AlreadySuspended):
            suspending.lift(creator_id=creator.pk, actor=creator)
        assert snapshot() == before


class TestClock:
    def test_what_waits_for_too_long_is_told(self, case, taken_down_elsewhere, creator):
        heard = []
        receiver = lambda sender, cases, appeals, **kwargs: heard.append((cases, appeals))  # noqa: E731
        moderation_waits.connect(receiver)
        try:
            assert waiting.remind() == 0
            late = timezone.now() - waiting.OVERDUE_AFTER - timedelta(minutes=1)
            ModerationCase.objects.filter(pk=case.pk).update(opened_at=late)
            Appeal.objects.update(created_at=late)
            assert waiting.remind() == 2
        finally:
            moderation_waits.disconnect(receiver)
        assert heard == [(1, 1)]
        assert waiting.cases() == (1, late)
        assert waiting.appeals() == (1, late)

    @pytest.fixture
    def taken_down_elsewhere(self, make_video, creator, moderator):
        video = make_video(creator=creator)
        row = cases.open_case(video_id=video.pk, actor=moderator)
        cases.take_down(case_id=row.pk, actor=moderator, **ILLEGAL)
        appealing.appeal(video=video, creator=creator, detail="Please.")
        return row


def _code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]
