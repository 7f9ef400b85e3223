"""The pages behind mailed links: the same for everybody, and working on a phone."""

import pytest
from playwright.sync_api import expect

from accounts import links
from accounts.models import MailedLink, User
from config.headers import PAGE
from config.tests import browser
from videos.tests import processes

PASSWORD, NEW = "a long pass phrase", "quite another phrase"


@pytest.mark.parametrize("page", ["reset", "verify"])
def test_a_page_reads_nothing_and_keeps_the_policy(client, page):
    answer = client.get(f"/account/{page}")  # without a database, so that a query would fail
    assert answer.status_code == 200
    assert answer["Content-Security-Policy"] == PAGE
    assert answer["Referrer-Policy"] in {"no-referrer", "same-origin"}
    assert not answer.cookies
    assert b'src="/static/accounts/link.js"' in answer.content
    assert client.post(f"/account/{page}").status_code == 405
    assert client.get(f"/account/{page}", HTTP_HOST="evil.example").status_code == 400


def mailed(user: User, purpose: MailedLink.Purpose) -> str:
    links.request(purpose, email=user.email, user=user)
    links.prepare_due()
    return links.token_of(MailedLink.objects.latest("pk").pk)


@pytest.mark.django_db(transaction=True)
@pytest.mark.journeys
@pytest.mark.programs
def test_a_person_sets_a_password_and_verifies_an_address_on_a_phone(chromium, make_user, tmp_path):
    ann = make_user(email="ann@example.com", password=PASSWORD)
    verify = mailed(ann, MailedLink.Purpose.VERIFY_EMAIL)
    reset = mailed(ann, MailedLink.Purpose.RESET_PASSWORD)
    with processes.web() as (_, port), browser.run(chromium) as running:
        base = f"http://127.0.0.1:{port}/account"
        with browser.page(running, f"{base}/verify#token={verify}", width=360) as page:
            assert page.evaluate("location.hash") == ""
            page.screenshot(path=tmp_path / "verify.png")
            page.get_by_role("button").click()
            expect(page.locator("#done")).to_contain_text("your address is verified")
        with browser.page(
            running, f"{base}/reset#token={reset}", width=360, dark=True, forgive="400"
        ) as page:
            page.get_by_label("New password").fill("password123")
            page.get_by_role("button").click()
            expect(page.locator("#notice")).to_contain_text("too common")
            page.screenshot(path=tmp_path / "weak.png")
            page.get_by_label("New password").fill(NEW)
            page.get_by_role("button").click()
            expect(page.locator("#done")).to_contain_text("Your new password is set")
            page.screenshot(path=tmp_path / "done.png")
        with browser.page(running, f"{base}/reset#token={reset}", width=360, forgive="400") as page:
            page.get_by_label("New password").fill("a third pass phrase")
            page.get_by_role("button").click()
            expect(page.locator("#notice")).to_contain_text("This link was used")
            expect(page.locator("form")).to_be_hidden()
        with browser.page(running, f"{base}/reset", width=1280) as page:
            expect(page.locator("#notice")).to_contain_text("incomplete")
            page.screenshot(path=tmp_path / "incomplete.png")
    ann.refresh_from_db()
    assert ann.email_verified
    assert ann.check_password(NEW)
