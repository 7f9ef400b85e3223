"""Evidence against disputes: drafted, uploaded and submitted over HTTP and on the admin site."""

from datetime import timedelta

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from audit.models import AuditEntry
from config.tests import desk
from payments.gateways.sandbox import charging
from payments.models import Dispute, DisputeEvidence, Payment, SandboxDispute
from payments.services.gateway_news import followups
from payments.services.settling.facts import sync_payment
from payments.tests.kit import VISA, balances, code, nothing_changes
from payments.tests.stripe_stand_in import StripeStandIn

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.7 a receipt"


class Desk:
    """A dispute, and an administrator who answers it."""

    stripe: StripeStandIn

    def __init__(self, client, gateway: str):
        self.client, self.gateway = client, gateway
        self.sync()
        self.url = f"/api/v1/payments/admin/disputes/{self.row.pk}/evidence"

    @property
    def row(self) -> Dispute:
        return Dispute.objects.get()

    def sync(self) -> None:
        payment = Payment.objects.get()
        sync_payment(gateway=self.gateway, external_id=payment.external_id)

    def save(self, **texts):
        return self.client.patch(self.url, texts)

    def upload(self, content: bytes = PDF, *, field="receipt", name="receipt.pdf"):
        file = SimpleUploadedFile(name, content)
        return self.client.put(f"{self.url}/files/{field}", {"file": file}, format="multipart")

    def submit(self):
        return self.client.post(f"{self.url}/submit")

    def refuses(self, reason: str) -> None:
        """Fail unless every change is answered 409 with this code, and changes nothing."""
        before = list(DisputeEvidence.objects.values())
        with nothing_changes():
            for answer in (self.save(customer_name="B"), self.upload(), self.submit()):
                assert (answer.status_code, code(answer)) == (409, reason)
        assert list(DisputeEvidence.objects.values()) == before


@pytest.fixture
def sandbox(buy, viewer, make_video, client_for, admin):
    """A dispute at the sandbox."""
    buy(viewer, make_video(price=1999))
    charging.open_dispute(Payment.objects.get().external_id)
    return Desk(client_for(admin), "sandbox")


@pytest.fixture
def at_stripe(stripe_service, client_for, viewer, make_video, admin):
    """A dispute at Stripe; ``stripe`` is the stand-in."""
    url = f"/api/v1/payments/purchase/{make_video(price=1999).pk}"
    assert client_for(viewer).post(url, {"payment_method": VISA}).status_code == 201
    stripe_service.account.open_dispute(Payment.objects.get().external_id, 1999)
    desk = Desk(client_for(admin), "stripe")
    desk.stripe = stripe_service.account
    return desk


def test_an_administrator_answers_a_dispute_at_stripe(at_stripe):
    shown = at_stripe.client.get(at_stripe.url)
    assert (shown.status_code, shown.data["status"], shown.data["is_open"]) == (200, "draft", True)
    assert at_stripe.save(product_description="A video.", customer_name="B").status_code == 200
    assert at_stripe.save(customer_name="").data["texts"] == {"product_description": "A video."}
    assert at_stripe.upload(b"\x89PNG\r\n\x1a\n...", name="wrong.png").status_code == 200
    answer = at_stripe.upload()
    assert answer.data["files"] == [{"field": "receipt", "name": "receipt.pdf", "size": len(PDF)}]
    assert at_stripe.row.status == "needs_response"

    answer = at_stripe.submit()

    assert (answer.status_code, answer.data["status"]) == (200, "submitted"), answer.content
    assert answer.data["submitted_at"] is not None
    dispute = at_stripe.stripe.objects[at_stripe.row.external_id]
    assert dispute["evidence"]["product_description"] == "A video."
    file = at_stripe.stripe.objects[dispute["evidence"]["receipt"]]
    assert (file["filename"], file["type"], file["purpose"]) == (
        "receipt.pdf", "pdf", "dispute_evidence",
    )  # fmt: skip
    assert (at_stripe.row.status, at_stripe.row.submissions) == ("under_review", 1)
    listed = at_stripe.client.get("/api/v1/payments/admin/disputes").data["results"][0]
    assert (listed["status"], listed["evidence_status"]) == ("under_review", "submitted")
    at_stripe.refuses("evidence_submitted")
    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert (actions.count("evidence.changed"), actions.count("evidence.submitted")) == (4, 1)
    at_stripe.stripe.reinstate(at_stripe.row.external_id, 1999)
    at_stripe.sync()
    assert at_stripe.row.status == "won"


def test_the_sandbox_plays_it_too(sandbox):
    assert sandbox.save(product_description="A video.").status_code == 200
    assert sandbox.upload().status_code == 200
    assert sandbox.submit().data["status"] == "submitted"
    stored = SandboxDispute.objects.get()
    assert set(stored.evidence or {}) == {"product_description", "receipt"}
    assert (sandbox.row.status, sandbox.row.submissions) == ("under_review", 1)
    sandbox.refuses("evidence_submitted")
    charging.close_dispute(stored.pk, reinstated=1999)
    sandbox.sync()
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


def test_a_draft_without_anything_is_not_submitted(sandbox):
    with nothing_changes():
        answer = sandbox.submit()
    assert (answer.status_code, code(answer)) == (422, "evidence_empty")
    assert not DisputeEvidence.objects.exists()


def test_after_the_date_nothing_is_changed_or_submitted(sandbox):
    sandbox.save(customer_name="A")
    Dispute.objects.update(evidence_due=timezone.now())
    sandbox.refuses("evidence_due_over")
    assert sandbox.client.get(sandbox.url).data["is_open"] is False


@pytest.mark.parametrize("reinstated", [1999, 0])
def test_a_closed_dispute_takes_no_evidence(sandbox, reinstated):
    sandbox.save(customer_name="A")
    charging.close_dispute(sandbox.row.external_id, reinstated=reinstated)
    sandbox.sync()
    sandbox.refuses("dispute_closed")


def test_evidence_that_was_submitted_on_stripes_pages_is_final_here_too(at_stripe):
    at_stripe.save(customer_name="A")
    at_stripe.stripe.update_dispute(at_stripe.row.external_id, {"customer_name": "B"})
    assert code(at_stripe.submit()) == "evidence_refused"  # before its event
    at_stripe.refuses("evidence_submitted")
    assert at_stripe.stripe.objects[at_stripe.row.external_id]["evidence"] == {"customer_name": "B"}


def test_evidence_that_stripe_refuses_is_a_draft_again(at_stripe):
    at_stripe.save(customer_name="A")
    objects, name = at_stripe.stripe.objects, at_stripe.row.external_id
    due = objects[name]["evidence_details"]["due_by"]
    objects[name]["evidence_details"]["due_by"] = 1
    answer = at_stripe.submit()
    assert (answer.status_code, code(answer)) == (409, "evidence_refused")
    at_stripe.stripe.objects[name]["evidence_details"]["due_by"] = due
    at_stripe.sync()
    assert at_stripe.submit().status_code == 200


@pytest.mark.parametrize("lost", ["silence", 503])
def test_a_submission_without_an_answer_is_made_again_once(at_stripe, lost):
    at_stripe.client.raise_request_exception = False
    at_stripe.save(customer_name="A")
    at_stripe.stripe.trouble = [lost] * 3
    assert at_stripe.submit().status_code == 503
    assert DisputeEvidence.objects.get().status == "submitting"
    at_stripe.stripe.keys.clear()  # a day later
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        followups.run()
    assert DisputeEvidence.objects.get().status == "submitted"
    assert at_stripe.row.submissions == 1


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"GIF89a", "receipt.pdf"), (b"<html>", "a.html"), (b"MZ", "a.exe"), (b" %PDF-", "a.pdf"),
     (PDF + b"x" * 5 * 1024**2, "a.pdf"), (PDF + b"x" * 4_500_000, "a.pdf")],
)  # fmt: skip
def test_other_files_and_large_ones_are_refused(sandbox, content, name):
    answer = sandbox.upload(content, name=name)
    assert (answer.status_code, code(answer)) == (422, "evidence_file_refused")
    assert not DisputeEvidence.objects.exists()


def test_the_files_together_have_a_limit(sandbox):
    half = PDF + b"x" * 2_500_000
    assert sandbox.upload(half).status_code == 200
    answer = sandbox.upload(half, field="refund_policy")
    assert (answer.status_code, code(answer)) == (422, "evidence_file_refused")
    assert sandbox.upload(half).status_code == 200  # in the place of the first one
    removed = sandbox.client.delete(f"{sandbox.url}/files/receipt")
    assert (removed.status_code, removed.data["files"]) == (200, [])
    assert sandbox.client.delete(f"{sandbox.url}/files/receipt").status_code == 200
    assert sandbox.upload(half, field="refund_policy").status_code == 200


@pytest.mark.parametrize(
    "texts", [{"customer_name": "x" * 20_001}, {"customer_name": 5, "billing_address": ["a"]}]
)
def test_texts_that_are_too_long_or_none_are_refused(sandbox, texts):
    assert sandbox.save(**texts).status_code == 400
    assert not DisputeEvidence.objects.exists()


def test_all_texts_together_have_a_limit(sandbox):
    names = ["customer_name", "billing_address", "service_date", "product_description",
             "access_activity_log", "uncategorized_text", "refund_refusal_explanation",
             "cancellation_rebuttal"]  # fmt: skip
    answer = sandbox.save(**dict.fromkeys(names, "x" * 20_000))
    assert (answer.status_code, code(answer)) == (422, "evidence_too_long")
    assert not DisputeEvidence.objects.exists()


def test_an_incomplete_upload_is_refused(sandbox):
    url = f"{sandbox.url}/files/receipt"
    assert sandbox.client.put(url, {}, format="multipart").status_code == 400
    assert sandbox.client.put(url, {"file": "text"}, format="multipart").status_code == 400
    assert sandbox.client.put(url, {"file": "text"}).status_code == 415
    for field in ("shipping_documentation", "product_description"):
        assert sandbox.upload(field=field).status_code == 404
    assert not DisputeEvidence.objects.exists()


def test_only_administrators_see_and_answer(sandbox, client_for, viewer, creator):
    for client, status in (
        (client_for(), 401),
        (client_for(viewer), 403),
        (client_for(creator), 403),
    ):
        answers = [
            client.get(sandbox.url),
            client.patch(sandbox.url, {"customer_name": "A"}),
            client.post(f"{sandbox.url}/submit"),
            client.put(f"{sandbox.url}/files/receipt"),
            client.delete(f"{sandbox.url}/files/receipt"),
        ]
        assert {answer.status_code for answer in answers} == {status}
    assert not DisputeEvidence.objects.exists()


def test_an_unknown_dispute_is_not_found(sandbox):
    url = sandbox.url.replace(str(sandbox.row.pk), "0199541b-3d00-7e24-9075-2b3c4d5e6f70")
    assert sandbox.client.get(url).status_code == 404
    assert sandbox.client.post(f"{url}/submit").status_code == 404


class TestAdminSite:
    @pytest.fixture
    def site(self, sandbox, admin):
        client = Client()
        client.force_login(admin)
        self.url = f"/admin/payments/dispute/{sandbox.row.pk}/evidence/"
        return client

    def test_a_draft_is_saved_and_submitted(self, site, sandbox):
        assert site.get("/admin/payments/dispute/").status_code == 200
        page = site.get(self.url)
        assert page.status_code == 200
        sent = {"customer_name": "A", "receipt": SimpleUploadedFile("r.pdf", PDF), "save": "yes"}
        assert site.post(self.url, sent).status_code == 302
        assert DisputeEvidence.objects.get().status == "draft"
        assert "r.pdf" in site.get(self.url).content.decode()
        asked = site.post(self.url, {"customer_name": "B", "submit": "yes"}, follow=True)
        assert b"It takes evidence once" in asked.content
        assert DisputeEvidence.objects.get().status == "draft"
        report = desk.confirm(site, asked)
        assert b"Submitted to the bank: 1" in report.content
        row = DisputeEvidence.objects.get()
        assert (row.status, row.texts, set(row.files)) == (
            "submitted", {"customer_name": "B"}, {"receipt"},
        )  # fmt: skip
        page = site.get(self.url).content.decode()
        assert "Submitted" in page or "submitted" in page
        assert 'name="submit"' not in page

    def test_a_refusal_is_shown(self, site, sandbox):
        sent = {"receipt": SimpleUploadedFile("r.gif", b"GIF89a"), "submit": "yes"}
        page = site.post(self.url, sent, follow=True).content.decode()
        assert "Evidence is a PDF, PNG or JPEG file" in page
        assert not DisputeEvidence.objects.exists()

    def test_staff_without_the_permission_are_refused(self, sandbox, site, viewer):
        viewer.is_staff = True
        viewer.save()
        client = Client()
        client.force_login(viewer)
        assert client.get(self.url).status_code in {302, 403}
        assert client.post(self.url, {"customer_name": "A"}).status_code in {302, 403}
        assert not DisputeEvidence.objects.exists()
