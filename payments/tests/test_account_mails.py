"""Mails about passwords and addresses, received by a real SMTP server: each once, to the right one."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import identities, links
from accounts.models import MailedLink, ProviderIdentity, Totp, User
from accounts.oidc import Person
from accounts.signals import identity_unlinked, second_factor_changed
from payments.models import Notice
from payments.services.notices import sending
from payments.tests.mailbox import Mailbox

pytestmark = pytest.mark.django_db
API = "/api/v1/auth"
PASSWORD, NEW = "a long pass phrase", "quite another phrase"


@pytest.fixture
def ann(make_user):
    return make_user(email="ann@example.com", password=PASSWORD)


def work() -> None:
    """Do what the worker does each second."""
    links.prepare_due()
    sending.send_due()


def token_in(mailbox: Mailbox) -> str:
    text = mailbox.mails[-1][2]
    [token] = re.findall(r"https://vod\.example\.com/account/\w+#token=(\S+)", text)
    return token


def test_a_forgotten_password_comes_back_by_mail(mailbox, ann, client_for):
    client_for().post(f"{API}/password/forgot", {"email": "ann@example.com"})
    client_for().post(f"{API}/password/forgot", {"email": "nobody@example.com"})
    work()
    work()
    [(to, subject, text)] = mailbox.mails
    assert (to, subject) == ("ann@example.com", "Set a new password")
    assert "/account/reset#token=" in text
    body = {"token": token_in(mailbox), "new_password": NEW}

    assert client_for().post(f"{API}/password/reset", body).status_code == 204
    work()

    assert [mail[:2] for mail in mailbox.mails[1:]] == [
        ("ann@example.com", "Your password was changed")
    ]


def test_a_stored_mail_holds_no_token(mailbox, ann, client_for):
    client_for().post(f"{API}/password/forgot", {"email": "ann@example.com"})
    work()
    token = token_in(mailbox)
    rows = repr(list(Notice.objects.values())) + repr(list(MailedLink.objects.values()))
    assert token not in rows
    assert token[22:] not in rows  # the part that is secret
    assert "#token=" not in rows


def test_a_new_user_gets_a_link_to_verify_the_address(mailbox, client_for):
    body = {"email": "new@example.com", "password": PASSWORD}
    client_for().post(f"{API}/register", body)
    work()
    [(to, subject, _)] = mailbox.mails
    assert (to, subject) == ("new@example.com", "Please verify your address")
    verified = client_for().post(f"{API}/email/verify", {"token": token_in(mailbox)})
    assert verified.status_code == 204


def test_both_addresses_are_told_of_a_change(mailbox, ann, client_for):
    body = {"email": "new@example.com", "current_password": PASSWORD}
    client_for(ann).put(f"{API}/email", body)
    work()
    assert sorted(mail[:2] for mail in mailbox.mails) == [
        ("ann@example.com", "Your address is to be changed"),
        ("new@example.com", "Please verify your new address"),
    ]
    assert "#token=" not in next(text for to, _, text in mailbox.mails if to == ann.email)
    mailbox.mails.sort(key=lambda mail: mail[0])
    client_for().post(f"{API}/email/verify", {"token": token_in(mailbox)})
    work()
    assert mailbox.mails[2][:2] == ("ann@example.com", "Your address was changed")
    assert "new@example.com" not in mailbox.mails[2][2]


def test_an_address_with_an_account_is_told_and_gets_no_link(mailbox, ann, make_user, client_for):
    make_user(email="bob@example.com")
    body = {"email": "bob@example.com", "current_password": PASSWORD}
    client_for(ann).put(f"{API}/email", body)
    work()
    assert sorted(mail[:2] for mail in mailbox.mails) == [
        ("ann@example.com", "Your address is to be changed"),
        ("bob@example.com", "Your address has an account already"),
    ]
    assert not any("#token=" in text for _, _, text in mailbox.mails)


def test_a_link_that_is_over_is_not_mailed(mailbox, ann, client_for):
    client_for().post(f"{API}/password/forgot", {"email": "ann@example.com"})
    links.prepare_due()
    MailedLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    sending.send_due()
    assert mailbox.mails == []
    notice = Notice.objects.get()
    assert notice.failed_at is not None
    assert "link of this mail" in notice.failure


def test_a_server_that_is_away_gets_each_mail_once_when_it_is_back(
    mailbox, ann, client_for, settings, monkeypatch
):
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    client_for(ann).post(f"{API}/email/resend")
    for _ in range(3):
        work()
        monkeypatch.setattr(sending, "_silent_until", 0.0)
    assert mailbox.mails == []
    settings.EMAIL_PORT = port
    Notice.objects.update(not_before=timezone.now() - timedelta(seconds=5))
    work()
    work()
    assert [mail[1] for mail in mailbox.mails] == ["Please verify your address"]


def test_a_log_of_a_refused_mail_names_no_address(mailbox, ann, client_for, caplog, monkeypatch):
    async def refuse(server, session, envelope, address, options):
        return f"550 5.1.1 <{address}> unknown"

    monkeypatch.setattr(mailbox, "handle_RCPT", refuse, raising=False)
    client_for(ann).post(f"{API}/email/resend")
    with caplog.at_level("INFO"):
        work()
    ours = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    assert any("could not be sent" in line for line in ours)
    assert "ann@example.com" not in repr(ours)
    assert Notice.objects.get().failed_at is not None


def test_a_mail_that_cannot_be_written_leaves_the_request_for_later(ann, client_for, monkeypatch):
    from payments.services.notices import account

    def fails(*args, **kwargs):
        raise RuntimeError("the disk is full")

    client_for(ann).post(f"{API}/email/resend")
    with monkeypatch.context() as patch:
        patch.setattr(account, "write_mail", fails)
        with pytest.raises(RuntimeError):
            links.prepare_due()
    assert MailedLink.objects.get().mailed_at is None
    assert not Notice.objects.exists()
    links.prepare_due()
    assert Notice.objects.get().link_id == MailedLink.objects.get().pk


def test_both_parts_hold_the_same_link(mailbox, ann, client_for):
    client_for().post(f"{API}/password/forgot", {"email": "ann@example.com"})
    work()
    link = f"https://vod.example.com/account/reset#token={token_in(mailbox)}"
    [message] = mailbox.messages
    html = message.get_body(("html",)).get_content()
    assert f'href="{link}"' in html
    assert html.count(link) == 2  # the button, and the address below it
    assert "{link}" not in html
    assert "#token=" not in repr(list(Notice.objects.values()))


@pytest.mark.parametrize(
    ("what", "subject"),
    [
        ("on", "Your second factor is on"),
        ("off", "Your second factor is off"),
        ("reset", "Your second factor was taken away"),
        ("recovery code used", "A recovery code was used"),
        ("guessed", "Somebody knows your password"),
    ],
)
def test_the_owner_of_a_second_factor_is_told_once(mailbox, ann, what, subject):
    for _ in range(2):
        second_factor_changed.send(sender=Totp, user=ann, what=what, key="the same")
    sending.send_due()
    assert [mail[:2] for mail in mailbox.mails] == [("ann@example.com", subject)]


def test_the_owner_of_a_linked_account_is_told(mailbox, ann, settings):
    settings.OIDC_NAME = "Example ID"
    User.objects.update(email_verified=True)
    identities.user_of(Person("https://id.example", "person-1", "ann@example.com", "Ann"))
    sending.send_due()
    [(address, subject, text)] = mailbox.mails
    assert (address, subject) == ("ann@example.com", "You can sign in with Example ID")
    assert "both open it from now on" in text


def test_the_owner_of_an_unlinked_account_is_told_once(mailbox, ann, settings):
    settings.OIDC_NAME = "Example ID"
    for _ in range(2):
        identity_unlinked.send(sender=ProviderIdentity, user=ann, identity_id=ann.pk)
    sending.send_due()
    [(address, subject, text)] = mailbox.mails
    assert (address, subject) == ("ann@example.com", "Example ID no longer opens your account")
    assert "unlinked from the one at Example ID" in text
