"""The fixture ``mailbox``: a real SMTP server that keeps what it receives."""

import socket
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller

from payments.services.notices import sending


class Mailbox:
    def __init__(self):
        self.messages: list[EmailMessage] = []
        self.mails: list[tuple[str, str, str]] = []  # to, subject, text

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        plain = message.get_body(("plain",))
        assert plain is not None
        text = plain.get_content().replace("\r\n", "\n")
        self.messages.append(message)
        self.mails.append((envelope.rcpt_tos[0], message["Subject"], text))
        return "250 OK"


@pytest.fixture
def mailbox(settings, monkeypatch):
    monkeypatch.setattr(sending, "_silent_until", 0.0)
    monkeypatch.setattr(sending, "_silences", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    handler = Mailbox()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.PUBLIC_URL = "https://vod.example.com"
    yield handler
    controller.stop()
