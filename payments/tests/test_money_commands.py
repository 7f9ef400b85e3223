"""The management commands about money: output, exit status and effect."""

import pytest
from django.core.management import CommandError, call_command

from config.management.progress import progress
from payments.gateways.sandbox import SandboxGateway
from payments.models import LedgerCheck, Payment, Payout, Pool, PoolShare, SandboxRefund
from payments.tests.kit import nothing_changes
from payments.tests.months import AUGUST, at, close, watch

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(capsys):
    """Return a function that runs a command and returns its lines on stdout and on stderr."""

    def call(*args, **options) -> tuple[list[str], list[str]]:
        call_command(*args, **options)
        output, errors = capsys.readouterr()
        return output.splitlines(), errors.splitlines()

    return call


@pytest.fixture
def watched(subscribe, make_user, make_video):
    with at("2026-08-01 00:00"):
        viewer = make_user()
        subscribe(viewer)
    video = make_video()
    watch(viewer, video, "2026-08-02", 60)
    return video


@pytest.fixture
def sold(make_user, make_video, buy):
    with at("2026-08-01 00:00"):
        return buy(make_user(), make_video(price=1999))


class TestClosePool:
    def test_closing_again_prints_the_same_line(self, run, watched):
        with at("2026-09-03 00:00"):
            output, _ = run("close_pool", "2026-08")
            pool = Pool.objects.get()
            line = (
                "2026-08: 8.00 USD of 8.00 USD shared among 1 creators by 60 s"
                f" (prorata-v1, {pool.input_sha256[:12]})"
            )
            assert output == [line]
            with nothing_changes():
                assert run("close_pool", "2026-08")[0] == [line]

    def test_a_dry_run_writes_nothing(self, run, watched):
        with at("2026-08-20 00:00"), nothing_changes():
            output, _ = run("close_pool", "2026-08", "--dry-run")
        assert output[0].startswith("2026-08: 8.00 USD of 8.00 USD would be shared among 1")
        assert not Pool.objects.exists()

    @pytest.mark.parametrize(
        ("period", "words"),
        [("2026-8", "Write it as YYYY-MM"), ("2026-08", "from 2026-09-03 00:00 UTC")],
    )
    def test_a_month_that_cannot_be_closed_says_why(self, watched, period, words):
        with at("2026-09-01 00:00"), pytest.raises(CommandError, match=words):
            call_command("close_pool", period)
        assert not Pool.objects.exists()

    def test_a_month_without_money_has_nothing_to_close(self, run):
        assert run("close_pool", "2026-08")[0] == ["2026-08: there is nothing to close."]


class TestVerifyPool:
    def test_a_correct_month_passes(self, run, watched):
        close(AUGUST)
        assert run("verify_pool", "2026-08")[0] == [
            "2026-08: all shares and statements match the ledger and the watch time."
        ]

    def test_a_changed_share_is_an_error(self, watched, capsys):
        close(AUGUST)
        PoolShare.objects.update(amount=799)
        with pytest.raises(CommandError, match="2 discrepancies") as error:
            call_command("verify_pool", "2026-08")
        assert error.value.returncode == 1
        assert "the share of" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("period", "words"),
        [
            ("2026-08", "2026-08 has not been closed, so there is nothing to verify"),
            ("August", "Write it as YYYY-MM"),
        ],
    )
    def test_a_month_that_is_not_closed_is_an_error(self, period, words):
        with pytest.raises(CommandError, match=words):
            call_command("verify_pool", period)


class TestVerifyLedger:
    def test_correct_books_pass(self, run, sold):
        output, errors = run("verify_ledger")
        assert output[0].startswith("The books are right: 1 payments in ")
        assert errors == []  # a bar is for terminals
        assert LedgerCheck.objects.get().discrepancies == 0

    def test_a_discrepancy_is_an_error_that_names_the_account(self, sold, capsys):
        Payment.objects.update(fee=1)
        with pytest.raises(CommandError, match="1 discrepancies in 1 payments") as error:
            call_command("verify_ledger")
        assert error.value.returncode == 1
        assert "fees:USD must change by -1" in capsys.readouterr().err
        assert LedgerCheck.objects.get().discrepancies == 1


def test_run_payouts_makes_each_once(run, sold):
    with at("2026-08-20 00:00"):
        output, _ = run("run_payouts")
        payout = Payout.objects.get()
        assert output == [
            f"{payout.pk}  16.00 USD  for {sold.creator_id}",
            "1 new payouts wait for approval.",
        ]
        with nothing_changes():
            assert run("run_payouts")[0] == [
                "No new payout: no creator without a payout under way has reached PAYOUT_MINIMUM."
            ]


class TestReconcilePayments:
    @pytest.mark.promise("reconciliation-finds-lost-webhook")
    def test_a_missed_refund_is_booked_once(self, run, make_user, make_video, buy):
        """The command books and prints a refund that was missed; a second run finds nothing."""
        order = buy(make_user(), make_video(price=1999))
        payment = order.payments.get()
        SandboxRefund.objects.create(
            id="sbr_1", idempotency_key="k", payment_id=payment.external_id, amount=500
        )
        output, _ = run("reconcile_payments", "--hours", "1")
        assert f"corrected: payment {payment.external_id}" in output
        assert payment.refunds.get().amount == 500
        with nothing_changes():
            output, _ = run("reconcile_payments")
        assert [line for line in output if line.startswith("corrected")] == []

    def test_a_gateway_that_is_away_is_an_error(self, sold, gateway_is, capsys):
        class Silent(SandboxGateway):
            def list_changes(self, since):
                raise TimeoutError

        with gateway_is(Silent), pytest.raises(CommandError) as error:
            call_command("reconcile_payments")
        assert error.value.returncode == 1
        assert "failed: sandbox does not answer" in capsys.readouterr().err

    @pytest.mark.parametrize("hours", ["0", "-1", "8785", "99999999999999999999"])
    def test_a_time_of_no_use_is_refused(self, hours):
        with pytest.raises(CommandError, match=f"--hours must be from 1 to 8784, not {hours}"):
            call_command("reconcile_payments", f"--hours={hours}")


def test_a_bar_is_drawn_on_a_terminal_only(capsys, monkeypatch):
    with progress("things") as show:
        show(1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("things") as show:
        show(1, 2)
    output, errors = capsys.readouterr()
    assert output == ""
    assert "1/2" in errors
