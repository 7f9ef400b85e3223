"""The moderators' desk on the admin site: who may use it, what it shows, and its decisions."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import services as accounts
from accounts.models import User
from accounts.roles import Role
from audit.models import AuditEntry
from payments.tests.kit import together
from videos.models import Video
from videos.moderation import appealing, cases, decisions, suspending
from videos.moderation.models import Appeal, ModerationCase, Report, Suspension

pytestmark = pytest.mark.django_db
QUEUE = "/admin/videos/moderationcase/"
WHY = {"reason": "violence", "note": "Minute two."}


def decide(name: str) -> str:
    return reverse("admin:videos_moderationcase_decide", args=[name])


def page_of(case: ModerationCase) -> str:
    return reverse("admin:videos_moderationcase_change", args=[case.pk])


def snapshot() -> list:
    """Return all that the desk may change."""
    rows = [
        list(model.objects.order_by("pk").values())
        for model in (Video, ModerationCase, Report, Appeal, Suspension)
    ]
    users = list(User.objects.order_by("pk").values("pk", "is_active", "suspended_at"))
    return [*rows, users, AuditEntry.objects.exclude(action="api.request").count()]


@pytest.fixture
def moderator(make_user):
    user = make_user(email="mod@example.com", display_name="Mo")
    return accounts.set_moderator(user_id=user.pk, is_moderator=True, actor=None)


@pytest.fixture
def desk(client, moderator):
    client.force_login(moderator)
    return client


@pytest.fixture
def video(make_video, make_user):
    creator = make_user(Role.CREATOR, email="cleo@example.com", display_name="Cleo Marsh")
    return make_video(creator=creator, title="The <b>harbour</b>", price=1999)


@pytest.fixture
def reported(make_user):
    def make(video, *reasons) -> ModerationCase:
        for reason in reasons:
            reporter = make_user(email=f"{reason}-{video.pk.hex[-4:]}@example.com")
            cases.report(video=video, reporter=reporter, reason=reason, detail="<i>Look</i>")
        return ModerationCase.objects.get(video=video, status="open")

    return make


@pytest.fixture
def case(video, reported):
    return reported(video, "spam", "violence")


class TestWhoMayUseIt:
    def addresses(self, case) -> list[str]:
        return [
            QUEUE, page_of(case), f"{QUEUE}open/{case.video_id}/",
            f"/admin/streaming/playbacksession/review/{case.video_id}/",
            *(f"{decide(name)}?case={case.pk}" for name in decisions.DECISIONS),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("role", "is_moderator", "status"),
        [
            (None, False, {302}), (Role.VIEWER, False, {302}), (Role.CREATOR, False, {302}),
            (Role.VIEWER, True, {200, 404}), (Role.CREATOR, True, {200, 404}),
            (Role.ADMIN, False, {200, 404}),
        ],
    )  # fmt: skip
    def test_each_address_for_each_role(self, client, make_user, case, role, is_moderator, status):
        if role:
            user = make_user(role)
            if is_moderator:
                user = accounts.set_moderator(user_id=user.pk, is_moderator=True, actor=None)
            client.force_login(user)
        before = snapshot()
        answers = {url: client.get(url).status_code for url in self.addresses(case)}
        # Only a POST opens a case.
        expected = {url: 302 if status == {302} else 200 for url in answers}
        if status != {302}:
            expected[f"{QUEUE}open/{case.video_id}/"] = 404
        assert answers == expected
        assert snapshot() == before

    def test_staff_without_the_permission_decide_nothing(self, client, make_user, case):
        user = make_user()
        User.objects.filter(pk=user.pk).update(is_staff=True)
        client.force_login(User.objects.get(pk=user.pk))
        before = snapshot()
        for name in decisions.DECISIONS:
            body = {"case": str(case.pk), **WHY}
            assert client.post(decide(name), body).status_code == 403
        assert client.post(f"{QUEUE}open/{case.video_id}/").status_code == 403
        assert client.get(QUEUE).status_code == client.get(page_of(case)).status_code == 403
        review = f"/admin/streaming/playbacksession/review/{case.video_id}/"
        assert client.get(review).status_code == 404
        assert snapshot() == before

    def test_a_moderator_sees_no_address_and_no_money(self, desk, case, moderator):
        cases.take_down(case_id=case.pk, actor=moderator, **WHY)
        pages = [QUEUE + "?state=all", page_of(case), f"{decide('restore')}?case={case.pk}"]
        for url in pages:
            text = desk.get(url).content.decode().replace("mod@example.com", "")  # their own
            assert "The &lt;b&gt;harbour&lt;/b&gt;" in text
            assert "Cleo Marsh" in text
            assert "@example.com" not in text
            assert "19.99" not in text
            assert "1999" not in text
            assert "USD" not in text
        index = desk.get("/admin/").content.decode()
        assert QUEUE in index
        for hidden in ("/admin/payments/", "/admin/accounts/", "/admin/videos/video/"):
            assert hidden not in index


class TestQueue:
    def titles(self, desk, query="") -> list[str]:
        rows = desk.get(QUEUE + query).context["cl"].result_list
        return [case.video.title for case in rows]

    def test_the_most_reported_comes_first_and_then_the_oldest(
        self, desk, make_video, reported, moderator
    ):
        once, old, twice, done = (make_video(title=title) for title in ("a", "b", "c", "d"))
        reported(once, "spam")
        late = timezone.now() - timedelta(days=4)
        first = reported(old, "other")
        ModerationCase.objects.filter(pk=first.pk).update(opened_at=late)
        reported(twice, "spam", "illegal")
        cases.dismiss(case_id=reported(done, "spam").pk, actor=moderator)

        assert self.titles(desk) == ["c", "b", "a"]
        assert self.titles(desk, "?state=overdue") == ["b"]
        assert self.titles(desk, "?state=dismissed") == ["d"]
        assert self.titles(desk, "?state=all") == ["c", "b", "a", "d"]
        assert self.titles(desk, "?reported=illegal") == ["c"]
        assert self.titles(desk, f"?q={twice.pk}") == ["c"]
        text = desk.get(QUEUE).content.decode()
        assert "4\xa0days, overdue" in text
        assert "spam (1), illegal content (1)" in text

    def test_an_appeal_brings_a_case_back_into_the_queue(self, desk, case, moderator):
        cases.take_down(case_id=case.pk, actor=moderator, **WHY)
        assert self.titles(desk) == []
        appealing.appeal(video=case.video, creator=case.video.creator, detail="No!")
        assert len(self.titles(desk)) == len(self.titles(desk, "?state=appealed")) == 1

    def test_it_costs_the_same_for_one_and_for_twelve(self, desk, make_video, reported):
        counts = []
        for number in (1, 11):
            for _ in range(number):
                reported(make_video(), "spam")
            desk.get(QUEUE)
            with CaptureQueriesContext(connection) as queries:
                desk.get(QUEUE)
            counts.append(len(queries))
        assert counts[0] == counts[1]


class TestDecisions:
    @pytest.mark.parametrize("name", decisions.DECISIONS)
    def test_each_asks_first_and_says_what_it_will_do(self, desk, case, name):
        before = snapshot()
        text = desk.get(f"{decide(name)}?case={case.pk}").content.decode()
        assert decisions.DECISIONS[name].label in text
        assert "The &lt;b&gt;harbour" in text
        assert "2 reports" in text
        assert snapshot() == before

    @pytest.mark.parametrize("name", ["warn", "take-down", "suspend"])
    @pytest.mark.parametrize(
        "body", [{}, {"reason": "spam"}, {"note": "x"}, {**WHY, "reason": "?"}]
    )
    def test_what_the_creator_is_told_must_be_given(self, desk, case, name, body):
        before = snapshot()
        answer = desk.post(decide(name), {"case": str(case.pk), **body})
        assert answer.status_code == 200
        assert answer.context["form"].errors
        assert snapshot() == before

    def test_a_case_goes_its_way(self, desk, case, admin, client, moderator, make_video):
        def act(name, **body):
            answer = desk.post(decide(name), {"case": str(case.pk), **body}, follow=True)
            assert answer.redirect_chain[-1][0] == page_of(case)
            case.refresh_from_db()
            return case.status

        def offered() -> list[str]:
            return [name for name, _ in desk.get(page_of(case)).context["decisions"]]

        assert offered() == ["dismiss", "warn", "take-down", "suspend"]
        assert act("dismiss") == "dismissed"
        assert offered() == ["reopen", "suspend"]
        assert act("reopen") == "open"
        assert act("warn", **WHY) == "warned"
        assert act("reopen") == "open"
        assert act("take-down", **WHY) == "taken_down"
        appealing.appeal(video=case.video, creator=case.video.creator, detail="It is art.")
        assert offered() == ["restore", "reject", "suspend"]
        assert "It is art." in desk.get(page_of(case)).content.decode()
        answer = desk.post(decide("reject"), {"case": str(case.pk), "note": "No."}, follow=True)
        assert "another moderator decides" in answer.content.decode()
        assert Appeal.objects.get().status == "open"
        assert act("restore") == "restored"
        assert act("suspend", **WHY) == "restored"
        assert offered() == ["lift"]
        assert act("lift") == "restored"
        text = desk.get(page_of(case)).content.decode()
        for what in ("Video reported", "Creator warned", "Video taken down", "Appeal filed"):
            assert what in text
        deeds = AuditEntry.objects.filter(actor_id=moderator.pk, target_type__in=["video", "user"])
        assert list(deeds.order_by("at").values_list("action", flat=True)) == [
            "case.dismissed", "case.reopened", "creator.warned", "case.reopened", "video.taken_down",
            "video.reinstated", "creator.suspended", "creator.suspension_lifted",
        ]  # fmt: skip

    def test_many_are_decided_together(self, desk, make_video, reported, moderator):
        rows = [reported(make_video(), "spam") for _ in range(12)]
        cases.dismiss(case_id=rows[0].pk, actor=moderator)
        chosen = {"_selected_action": [str(row.pk) for row in rows]}
        led = desk.post(f"{QUEUE}?state=all", {"action": "take_down", **chosen}, follow=True)
        assert led.content.decode().count('name="case"') == 12
        assert not ModerationCase.objects.filter(status="taken_down").exists()

        body = {"case": chosen["_selected_action"], **WHY}
        answer = desk.post(decide("take-down"), body, follow=True)

        assert ModerationCase.objects.filter(status="taken_down").count() == 11
        said = [str(message) for message in answer.context["messages"]]
        assert sum("faster" in text for text in said) == 1
        assert "Taken down: 11." in said

    def test_the_question_about_many_is_no_long_address(self, desk, make_video, reported):
        """A proxy refuses an address of more than 8 kB, which the keys of 200 cases are."""
        rows = [reported(make_video(), "spam") for _ in range(3)]
        body = {"action": "dismiss", "_selected_action": [str(row.pk) for row in rows]}
        page = desk.post(QUEUE, body)
        assert (page.status_code, page.content.decode().count('name="case"')) == (200, 3)
        action = page.context["to"]
        assert f'action="{action}"' in page.content.decode()
        assert not ModerationCase.objects.exclude(status="open").exists()
        answer = desk.post(action, {"case": body["_selected_action"]}, follow=True)
        assert "Dismissed: 3." in answer.content.decode()

    def test_more_than_a_form_can_hold_are_refused_whole(
        self, desk, make_video, reported, monkeypatch
    ):
        monkeypatch.setattr("videos.moderation.desk.ROWS_MAX", 2)
        rows = [reported(make_video(), "spam") for _ in range(3)]
        body = {"action": "take_down", "_selected_action": [str(row.pk) for row in rows]}
        before = snapshot()
        answer = desk.post(QUEUE, body, follow=True)
        assert "Choose at most 2 reported videos. Nothing was done." in answer.content.decode()
        assert snapshot() == before

    def test_a_case_is_opened_by_a_moderator(self, desk, case, make_video):
        other = make_video(creator=case.video.creator, title="Another")
        assert "Another" in desk.get(page_of(case)).content.decode()
        answer = desk.post(f"{QUEUE}open/{other.pk}/", follow=True)
        assert "No viewer has reported" in answer.content.decode()
        opened = ModerationCase.objects.get(video=other)
        assert AuditEntry.objects.get(target_id=str(other.pk)).action == "case.opened"
        assert answer.redirect_chain[-1][0] == page_of(opened)

    def test_what_is_unknown_is_refused(self, desk, case):
        before = snapshot()
        assert desk.get(decide("shred") + f"?case={case.pk}").status_code == 404
        assert desk.post(decide("dismiss"), {"case": "x"}).status_code == 404
        assert desk.post(decide("dismiss"), {}).status_code == 302
        unknown = "00000000-0000-7000-8000-000000000000"
        assert desk.post(decide("dismiss"), {"case": unknown}).status_code == 302
        assert desk.post(f"{QUEUE}open/{unknown}/").status_code == 302
        assert snapshot() == before

    def test_ones_own_video_has_no_buttons(self, desk, moderator, make_video, reported):
        own = reported(make_video(creator=moderator), "spam")
        before = snapshot()
        assert "Another moderator must decide" in desk.get(page_of(own)).content.decode()
        answer = desk.post(decide("dismiss"), {"case": str(own.pk)}, follow=True)
        assert "your own" in answer.content.decode()
        assert snapshot() == before


class TestForAdministrators:
    """The lists of videos and users say what moderators have decided, and lead to the cases."""

    VIDEOS, USERS = "/admin/videos/video/", "/admin/accounts/user/"

    def found(self, client, address, **query) -> set:
        return {row.pk for row in client.get(address, query).context["cl"].result_list}

    def test_a_video_that_is_taken_down_says_so(self, client, admin, case, make_video, moderator):
        other = make_video()
        client.force_login(admin)
        assert self.found(client, self.VIDEOS, moderation="taken_down") == set()
        cases.take_down(case_id=case.pk, actor=moderator, **WHY)
        day = Video.objects.get(pk=case.video_id).taken_down_at
        for address in (self.VIDEOS, f"{self.VIDEOS}{case.video_id}/change/"):
            text = client.get(address).content.decode()
            assert f"taken down by a moderator on {day:%Y-%m-%d}" in text
        assert self.found(client, self.VIDEOS, moderation="taken_down") == {case.video_id}
        assert self.found(client, self.VIDEOS, moderation="x") == {case.video_id, other.pk}

    def test_a_suspended_creator_says_so(self, client, admin, case, make_video, moderator):
        creator, other = case.video.creator, make_video()
        suspending.suspend(creator_id=creator.pk, actor=moderator, **WHY)
        client.force_login(admin)
        assert self.found(client, self.VIDEOS, moderation="suspended") == {case.video_id}
        assert self.found(client, self.USERS, suspended="yes") == {creator.pk}
        assert other.creator_id in self.found(client, self.USERS)
        assert "creator suspended" in client.get(self.VIDEOS).content.decode()
        since = User.objects.get(pk=creator.pk).suspended_at
        page = client.get(f"{self.USERS}{creator.pk}/change/").content.decode()
        assert "Suspended since (UTC)" in page
        assert f"{since:%Y}" in page

    def test_their_pages_lead_to_the_cases(self, client, admin, case, make_video, reported):
        elsewhere = reported(make_video(), "spam")
        client.force_login(admin)
        for address in (
            f"{self.VIDEOS}{case.video_id}/change/",
            f"{self.USERS}{case.video.creator_id}/change/",
        ):
            links = client.get(address).context["row_links"]
            (link,) = (each["url"] for each in links if "Reports" in each["label"])
            assert self.found(client, link) == {case.pk}
        assert self.found(client, QUEUE, q="Cleo") == {case.pk}
        assert self.found(client, QUEUE) == {case.pk, elsewhere.pk}


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_of_two_moderators_one_decides(self, make_user, make_video, viewer):
        video = make_video()
        cases.report(video=video, reporter=viewer, reason="spam")
        case = ModerationCase.objects.get()
        people = [
            accounts.set_moderator(user_id=make_user().pk, is_moderator=True, actor=None)
            for _ in range(4)
        ]

        def attempt(number, moderator):
            def call():
                try:
                    if number % 2:
                        cases.take_down(case_id=case.pk, actor=moderator, **WHY)
                    else:
                        cases.dismiss(case_id=case.pk, actor=moderator)
                except cases.AlreadyDecided as refusal:
                    return str(refusal.detail)
                return "decided"

            return call

        said = together([attempt(number, who) for number, who in enumerate(people)])

        assert said.count("decided") == 1
        assert all("faster" in text for text in said if text != "decided")
        case.refresh_from_db()
        video.refresh_from_db()
        assert (case.status == "taken_down") == (video.taken_down_at is not None)
        actions = ["video.taken_down", "case.dismissed"]
        assert AuditEntry.objects.filter(action__in=actions).count() == 1

    def test_reports_at_the_same_moment_are_one_case(self, make_user, make_video, client_for):
        video = make_video()
        people = [make_user() for _ in range(6)]
        clients = [client_for(user) for user in (*people, people[0])]
        url = f"/api/v1/videos/{video.pk}/reports"
        answers = together(
            [lambda client=client: client.post(url, {"reason": "spam"}) for client in clients]
        )
        assert sorted(answer.status_code for answer in answers) == [200, *[201] * 6]
        assert ModerationCase.objects.get().reports.count() == 6

    def test_appeals_at_the_same_moment_are_one(self, make_video, moderated, creator, client_for):
        url = f"/api/v1/videos/{moderated.video_id}/appeal"
        clients = [client_for(creator) for _ in range(5)]
        answers = together(
            [lambda client=client: client.post(url, {"detail": "No"}) for client in clients]
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
        assert Appeal.objects.count() == 1

    @pytest.fixture
    def moderated(self, make_video, creator, make_user):
        who = accounts.set_moderator(user_id=make_user().pk, is_moderator=True, actor=None)
        row = cases.open_case(video_id=make_video(creator=creator).pk, actor=who)
        return cases.take_down(case_id=row.pk, actor=who, **WHY)
