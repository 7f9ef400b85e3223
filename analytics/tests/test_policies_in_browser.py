"""Each page in a real Chromium: it works, and nothing in it violates its Content-Security-Policy."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.contrib import admin as site
from django.urls import reverse
from playwright.sync_api import Page, expect

from config.tests import browser
from payments.models import Order
from videos.tests import processes

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.journeys,
    pytest.mark.programs,
]
PASSWORD = "a long pass phrase"
NOTHING: list[str] = []


@contextmanager
def service(chromium: str, **changes: str) -> Iterator[tuple[Page, str, list[str]]]:
    """A page in a browser, the address of a running service, and the errors of its console."""
    with processes.web(**changes) as (_, port), browser.run(chromium) as running:
        page, errors = running.new_page(), []
        page.set_default_timeout(90_000)  # Swagger UI takes its time on a busy machine
        page.on("console", lambda said: errors.extend([said.text] * (said.type == "error")))
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page, f"http://127.0.0.1:{port}", errors


def sign_in(page: Page, address: str) -> None:
    page.goto(f"{address}/admin/")
    page.locator("#id_username").fill("boss@example.com")
    page.locator("#id_password").fill(PASSWORD)
    page.locator("[type=submit]").click()
    expect(page).to_have_title("What needs attention | Video on demand")


@pytest.fixture
def boss(make_user):
    return make_user("ADMIN", email="boss@example.com", password=PASSWORD)


@pytest.mark.parametrize(
    ("allow_http", "prefix"), [("false", "__Host-"), ("true", "")], ids=["secure", "plain HTTP"]
)
def test_an_administrator_signs_in_with_cookies_that_no_script_reads(
    chromium, boss, allow_http, prefix
):
    with service(chromium, ALLOW_HTTP=allow_http) as (page, address, errors):
        sign_in(page, address)
        cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}

        assert set(cookies) == {f"{prefix}sessionid", f"{prefix}csrftoken"}
        for cookie in cookies.values():
            assert (cookie["httpOnly"], cookie["path"]) == (True, "/")
            assert (cookie["secure"], cookie["sameSite"]) == (bool(prefix), "Lax")
        assert page.evaluate("document.cookie") == ""
        page.get_by_text("boss@example.com").first.click()
        page.locator("#logout-form button").click()
        expect(page).to_have_url(f"{address}/admin/logout/")
        assert errors == NOTHING


def test_every_page_of_the_admin_site_keeps_its_policy(chromium, boss, one_of_each):
    models = site.site._registry
    pages = [reverse("admin:password_change"), reverse("admin:index")]
    for model in models:
        meta = model._meta
        name = f"admin:{meta.app_label}_{meta.model_name}"
        row = model._default_manager.all()[0]
        pages += [reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[row.pk])]
    pages += [reverse(f"admin:payments_{name}") for name in ("revenue", "review")]

    with service(chromium) as (page, address, errors):
        sign_in(page, address)
        for path in pages:
            answer = page.goto(f"{address}{path}")
            assert answer is not None
            assert (answer.status, errors) == (200, NOTHING), path
        page.goto(f"{address}{reverse('admin:payments_revenue')}")
        width = page.locator(".money-chart > svg").first.evaluate("svg => svg.clientWidth")
        assert width > 600  # the style sheet has arrived


def test_the_documentation_works_under_its_policy(chromium):
    with service(chromium) as (page, address, errors):
        # Swagger UI draws an operation when it is scrolled to.
        page.set_viewport_size({"width": 1280, "height": 2000})
        page.goto(f"{address}/api/docs/")
        page.locator("[data-path='/api/v1/auth/login']").click()
        page.get_by_role("button", name="Try it out").click()
        with page.expect_response("**/api/v1/auth/login") as answered:
            page.get_by_role("button", name="Execute").click()
        assert answered.value.status == 401  # which Chromium itself reports to the console

        page.goto(f"{address}/api/redoc/")
        page.get_by_role("textbox").fill("heartbeat")  # its search runs in a worker
        page.locator("[data-role='search:results'] li").first.wait_for()
        position = page.locator(".menu-content").evaluate("menu => getComputedStyle(menu).position")
        assert position == "sticky"  # its styles have arrived
        assert [text for text in errors if "401" not in text] == NOTHING


def test_a_buyer_pays_on_the_checkout_under_its_policy(chromium, client_for, viewer, make_video):
    video = make_video(price=1999)
    bought = client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}")
    path = bought.data["next_action"]["url"].removeprefix("http://testserver")

    with service(chromium) as (page, address, errors):
        page.goto(f"{address}{path}")
        colour = page.get_by_role("button", name="Pay", exact=True).evaluate(
            "button => getComputedStyle(button).backgroundColor"
        )
        assert colour == "rgb(29, 78, 216)"
        page.get_by_role("button", name="Pay with a card that is declined").click()
        expect(page.get_by_role("alert")).to_contain_text("declined")
        page.get_by_role("button", name="Pay", exact=True).click()
        expect(page.get_by_role("status")).to_have_text("Paid.")
        assert errors == NOTHING
    assert Order.objects.get().status == "paid"


def test_error_pages_keep_their_policy(chromium):
    """A wrong form of the sign-in is the last of them: its cookie is gone."""
    with service(chromium) as (page, address, errors):
        for path in ("/nothing", "/watch/0"):
            page.goto(f"{address}{path}")
            expect(page.get_by_role("heading", level=1)).to_contain_text("There is no")
        page.goto(f"{address}/admin/login/")
        page.context.clear_cookies()
        page.locator("#id_username").fill("boss@example.com")
        page.locator("#id_password").fill(PASSWORD)
        page.locator("[type=submit]").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("This form is too old")
        assert [text for text in errors if "Failed to load resource" not in text] == NOTHING
