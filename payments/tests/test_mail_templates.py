"""Mails as templates: text and HTML say the same, load nothing, and no fact breaks out of its place."""

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.utils import timezone

from config import mails
from payments.models import Notice
from payments.services.notices import sending, writing
from payments.tests.mail_facts import VIDEO, templates, variants

NASTY = (
    '"><script>alert(1)</script><img src=https://evil.example/x>\r\nBcc: all@example.com {{ x }}'
)
VARIANTS = variants()
IDS = [template.rpartition("/")[2] for template, _ in VARIANTS]


class Page(HTMLParser):
    """The addresses that a mail links, those that it loads, its elements, and its words."""

    def __init__(self, html: str):
        super().__init__()
        self.links: set[str] = set()
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name == "href" and tag == "a":
                self.links.add(value)
            elif name in {"src", "srcset", "href", "background", "data", "poster"}:
                self.loads.append(value)

    def handle_data(self, data):
        self.words.append(data)


def test_each_template_is_tried():
    assert {template for template, _ in VARIANTS} == set(templates())


@pytest.mark.parametrize(("template", "facts"), VARIANTS, ids=IDS)
def test_text_and_html_say_the_same_and_load_nothing(template, facts, settings):
    settings.PUBLIC_URL = "https://vod.example.com"
    mail = mails.render(template, **facts)
    page = Page(mail.html)

    shown = set(re.findall(r"https?://\S+|\{link\}", mail.text))
    assert page.links | {"https://vod.example.com/"} == shown
    assert page.loads == []
    assert "url(" not in mail.html
    assert "@import" not in mail.html
    assert page.tags.isdisjoint({"script", "b", "form", "iframe", "object", "svg", "link"})
    for part in (mail.subject, mail.text, mail.html):
        assert "{{" not in part
        assert "{%" not in part
    words = " ".join(" ".join(page.words).split())
    for line in mail.text.partition("\n-- \n")[0].splitlines():
        assert line.removesuffix(":") in words
    assert mail.subject in words
    assert max(map(len, mail.html.splitlines())) < 998  # RFC 5322, 2.1.1


@pytest.mark.parametrize(("template", "facts"), variants(NASTY), ids=IDS)
def test_no_fact_breaks_out_of_its_place(template, facts):
    facts = {name: NASTY if isinstance(value, str) else value for name, value in facts.items()}
    mail = mails.render(template, **facts)
    page = Page(mail.html)
    assert page.tags.isdisjoint({"script", "img"})
    assert page.loads == []
    assert all(link.startswith("http://localhost:") for link in page.links)
    assert "\n" not in mail.subject
    assert "\r" not in mail.subject


def test_the_brand_is_the_operators(settings):
    settings.BRAND_NAME = "Harbour <TV> & more"
    settings.BRAND_COLOUR = "#ffcc00"
    settings.BRAND_LOGO_URL = "https://shop.example.com/logo.png?a=1&b=2"
    mail = mails.render(
        "payments/mails/receipt.html", **dict(VARIANTS)["payments/mails/receipt.html"]
    )
    page = Page(mail.html)
    assert page.loads == ["https://shop.example.com/logo.png?a=1&b=2"]
    assert "Harbour <TV> & more" in mail.text
    assert "Harbour &lt;TV&gt; &amp; more" in mail.html
    assert "background-color:#ffcc00;color:#000000" in mail.html  # readable on a light colour


@pytest.mark.parametrize(
    ("colour", "text"),
    [
        ("#000000", "#ffffff"),
        ("#ffffff", "#000000"),
        ("#4338ca", "#ffffff"),
        ("#ffcc00", "#000000"),
    ],
)
def test_text_on_the_brands_colour_can_be_read(colour, text):
    assert mails.text_colour_on(colour) == text


def test_a_video_is_linked_to_its_page(settings):
    settings.PUBLIC_URL = "https://vod.example.com"
    facts = dict(variants())["payments/mails/receipt.html"]
    mail = mails.render("payments/mails/receipt.html", **facts)
    assert f"https://vod.example.com/watch/{VIDEO}" in mail.text
    assert f'href="https://vod.example.com/watch/{VIDEO}"' in mail.html


@pytest.mark.django_db
def test_each_mail_arrives_with_both_parts_and_the_same_link(mailbox, make_user):
    for number, (template, facts) in enumerate(VARIANTS):
        user = make_user(email=f"u{number}@example.com")
        writing.write_mail(user, template, dedupe_key=f"k{number}", **facts)
    while Notice.objects.filter(sent_at=None).exists():
        assert sending.send_due() > 0

    assert len(mailbox.messages) == len(VARIANTS)
    for message, (_, facts) in zip(mailbox.messages, VARIANTS, strict=True):
        assert message.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in message.iter_parts()] == [
            "text/plain",
            "text/html",
        ]
        page = Page(message.get_body(("html",)).get_content())
        text = message.get_body(("plain",)).get_content()
        for link in page.links:
            assert link in text
        if facts.get("page"):
            assert facts["page"] in page.links
    assert set(Notice.objects.values_list("html", flat=True)) == {""}  # sent: the text is enough


@pytest.mark.django_db
def test_no_title_adds_a_header(mailbox, make_user):
    for number, (template, facts) in enumerate(variants(NASTY)):
        user = make_user(email=f"u{number}@example.com")
        writing.write_mail(user, template, dedupe_key=f"k{number}", **facts)
    while Notice.objects.filter(sent_at=None, failed_at=None).exists():
        assert sending.send_due() > 0
    assert len(mailbox.messages) == len(VARIANTS)
    for message in mailbox.messages:
        assert message["Bcc"] is None
        assert set(message.keys()) == {
            "Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID",
        }  # fmt: skip
    assert not any(to.startswith("all@") for to, *_ in mailbox.mails)


@pytest.mark.django_db
def test_a_server_that_is_away_for_an_hour_gets_every_mail_once(
    mailbox, make_user, settings, monkeypatch
):
    for number, (template, facts) in enumerate(VARIANTS):
        user = make_user(email=f"u{number}@example.com")
        writing.write_mail(user, template, dedupe_key=f"k{number}", **facts)
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    for minute in range(60):  # the longest pause is a minute; mails wait by the database's clock
        Notice.objects.update(not_before=timezone.now() - timedelta(minutes=60 - minute))
        monkeypatch.setattr(sending, "_silent_until", 0.0)
        assert sending.send_due() == 0
    assert mailbox.mails == []
    assert set(Notice.objects.values_list("attempts", "failed_at")) == {(0, None)}

    settings.EMAIL_PORT = port
    for _ in range(5):
        monkeypatch.setattr(sending, "_silent_until", 0.0)
        sending.send_due()
    assert sorted(to for to, *_ in mailbox.mails) == sorted(
        f"u{number}@example.com" for number in range(len(VARIANTS))
    )
    assert not Notice.objects.filter(sent_at=None).exists()


@pytest.mark.django_db
def test_a_mail_that_waits_since_before_html_is_sent_as_text(mailbox, make_user):
    Notice.objects.create(
        user=make_user(email="a@example.com"), subject="Old", body="Old words.\n", dedupe_key="k"
    )
    assert sending.send_due() == 1
    [message] = mailbox.messages
    assert message.get_content_type() == "text/plain"
    assert message.get_content().strip() == "Old words."
