"""The errors of payments. The API answers with their codes, which clients rely on."""

from rest_framework import status

from config.errors import DomainError, NotVisible, ServiceUnavailable


class Unprocessable(DomainError):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


class VideoNotFound(NotVisible):
    default_code = "video_not_found"
    default_detail = "There is no such video, or you may not see it. Check the id of the video."


class PlanNotFound(NotVisible):
    default_code = "plan_not_found"
    default_detail = "No plan with this code is offered. Choose one of the listed plans."


class NoSubscription(NotVisible):
    default_code = "no_subscription"
    default_detail = "You have no subscription. Subscribe to a plan first."


class OwnVideo(DomainError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "own_video"
    default_detail = "This video is your own, so you need not buy it. You can watch it."


class AlreadyOwned(DomainError):
    default_code = "already_owned"
    default_detail = "You have bought or rented this video already. See your orders."


class CoveredBySubscription(DomainError):
    default_code = "covered_by_subscription"
    default_detail = (
        'Your subscription lets you watch this video already. Send "force": true to buy it anyway.'
    )


class PriceChanged(DomainError):
    default_code = "price_changed"
    attr = "expected_amount"

    def __init__(self, current: str, currency: str):
        super().__init__(f"The price is now {current} {currency}. Send it as expected_amount.")
        self.extra = {"current_amount": current, "currency": currency}


class NotForSale(Unprocessable):
    default_code = "not_for_sale"
    default_detail = "This video has no price for this kind of order. Choose one of its offers."


class CurrencyUnsupported(Unprocessable):
    default_code = "currency_unsupported"
    default_detail = "This video has no price in this currency. Choose one of its offers."
    attr = "currency"


class AmountBelowMinimum(Unprocessable):
    default_code = "amount_below_minimum"
    default_detail = "The gateway cannot charge this amount. Choose another offer."


class CouponInvalid(Unprocessable):
    default_code = "coupon_invalid"
    default_detail = "This coupon cannot be used here. Check its code, or leave it out."
    attr = "coupon"


class CouponUsed(DomainError):
    default_code = "coupon_used"

    def __init__(self, field: str):
        super().__init__("A coupon that was used keeps this value. End it and create another one.")
        self.attr = field


class ReturnUrlRefused(DomainError):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "return_url_refused"
    default_detail = (
        "This address is not allowed. Use one of this service, or of CHECKOUT_RETURN_ORIGINS."
    )
    attr = "return_url"


class CardDeclined(DomainError):
    status_code = status.HTTP_402_PAYMENT_REQUIRED
    default_code = "card_declined"

    def __init__(self, decline_code: str):
        text = f"The card was declined ({decline_code}). Try another card."
        if decline_code == "authentication_required":
            text = (
                "Your bank asks you to confirm this payment, and nothing was charged. Confirm an unpaid"
                " renewal at its `hosted_invoice_url`; for a change of plan try another card."
            )
        super().__init__(text)
        self.decline_code = decline_code
        self.extra = {"decline_code": decline_code}


class PaymentMethodUnknown(Unprocessable):
    default_code = "payment_method_unknown"
    default_detail = "The gateway does not know this payment method. Send another one."
    attr = "payment_method"


class GatewayUnavailable(ServiceUnavailable):
    default_code = "gateway_unavailable"
    default_detail = (
        "The payment gateway does not answer, so the outcome is not known. Repeat the call: it"
        " continues where it stopped and charges nothing twice."
    )


class GoneAtGateway(DomainError):
    default_code = "gone_at_gateway"
    default_detail = (
        "The payment gateway does not have this any more, so nothing was changed. Start again; ask the"
        " operator if this goes on."
    )


class PaymentsClosed(GatewayUnavailable):
    default_code = "payments_closed"
    default_detail = (
        "Payments are closed: the database holds money of another mode (sandbox, test or live) than the"
        " gateway moves. The operator decides with `manage.py payments_mode`."
    )


class OfEarlierMode(DomainError):
    default_code = "earlier_mode"
    default_detail = (
        "This was made with the money of an earlier mode (sandbox, test or live), which is closed."
        " Nothing of it can change any more."
    )


class SandboxClosed(DomainError):
    status_code = status.HTTP_410_GONE
    default_code = "sandbox_closed"
    default_detail = (
        "This service does not use the sandbox, so nothing was changed. Set PAYMENT_GATEWAY=sandbox to"
        " try payments in a database of its own."
    )


class AlreadySubscribed(DomainError):
    default_code = "already_subscribed"
    default_detail = "You have a subscription already. Change its plan instead."


class NotCanceled(DomainError):
    default_code = "not_canceled"
    default_detail = "Your subscription is not canceled, so there is nothing to resume."


class ChangeInProgress(DomainError):
    default_code = "change_in_progress"
    default_detail = "Another change of your plan is under way. Repeat this one in a second."
    retry_after = 1


class NotResumed(DomainError):
    default_code = "not_resumed"
    default_detail = (
        "Your subscription could not be resumed, and still ends. Subscribe again when it has ended."
    )


class PlanUnchanged(DomainError):
    default_code = "plan_unchanged"
    default_detail = "This is your plan already, so nothing was changed. Choose another plan."


class SubscriptionNotRunning(DomainError):
    default_code = "subscription_not_running"
    default_detail = "Your subscription waits for a payment. Pay first, then change it."


class Disputed(DomainError):
    default_code = "disputed"
    default_detail = "The buyer's bank holds this money. Wait for the end of the dispute."


class DisputeClosed(DomainError):
    default_code = "dispute_closed"
    default_detail = "The bank has decided this dispute. No evidence can be submitted any more."


class EvidenceDueOver(DomainError):
    default_code = "evidence_due_over"
    default_detail = "The time to answer this dispute is over: see `evidence_due`."


class EvidenceSubmitted(DomainError):
    default_code = "evidence_submitted"
    default_detail = "Evidence for this dispute was submitted, and is final. Wait for the bank."


class EvidenceEmpty(Unprocessable):
    default_code = "evidence_empty"
    default_detail = "There is nothing to submit yet. Add a text or a file first."


class EvidenceTooLong(Unprocessable):
    default_code = "evidence_too_long"
    default_detail = "The texts have more than 150000 characters together. Shorten them."


class EvidenceFileRefused(Unprocessable):
    default_code = "evidence_file_refused"
    attr = "file"


class EvidenceRefused(DomainError):
    default_code = "evidence_refused"


class RefundWindowClosed(DomainError):
    default_code = "refund_window_closed"
    default_detail = "The time to return this video is over. Ask the operator if it is broken."


class WatchedTooMuch(DomainError):
    default_code = "watched_too_much"
    default_detail = (
        "You have watched or loaded too much of this video to return it. Ask the operator."
    )


class RefundLimitReached(DomainError):
    default_code = "refund_limit_reached"
    default_detail = "You have returned this video before. Ask the operator if it is broken."


class PlaybackRunning(DomainError):
    default_code = "playback_running"
    default_detail = "Playback of this video was started meanwhile. Stop it, and repeat the call."
    retry_after = 3


class ReturnInProgress(DomainError):
    default_code = "return_in_progress"
    default_detail = "Another video of yours is being returned. Repeat the call in three seconds."
    retry_after = 3


class NothingToRefund(DomainError):
    default_code = "not_refundable"
    default_detail = "No money is left to refund. See the status and its earlier refunds."


class RefundInProgress(DomainError):
    default_code = "refund_in_progress"
    default_detail = "A refund of all the money is under way. Try again in a minute."
    retry_after = 60


class RefundTooLarge(Unprocessable):
    default_code = "refund_too_large"
    attr = "amount"


class AmountInvalid(DomainError):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid"
    attr = "amount"


class OrderNotOpen(DomainError):
    default_code = "order_not_open"
    default_detail = "This order is being paid, or is not open any more. See its status."


class KeyReused(Unprocessable):
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key belongs to another request. Send a new key."


class KeyInProgress(DomainError):
    default_code = "idempotency_in_progress"
    default_detail = "A request with this Idempotency-Key is running. Repeat it in a second."
    retry_after = 1


class PeriodNotOver(DomainError):
    default_code = "period_not_over"
    default_detail = "News of this month's payments may still come. Close it later."


class EarlierPeriodOpen(DomainError):
    default_code = "earlier_period_open"

    def __init__(self, period: str, currency: str):
        super().__init__(f"The earlier month {period} is not closed in {currency}. Close it first.")
        self.extra = {"period": period, "currency": currency}


class NothingToPayOut(DomainError):
    default_code = "nothing_to_pay_out"
    default_detail = "No balance reaches the minimum, or its payout is under way. Try later."


class PayoutsOnHold(DomainError):
    """Refusal of a payout to a creator whom a moderator has suspended."""

    default_code = "payouts_on_hold"
    default_detail = (
        "This creator is suspended, so payouts wait. The balance is kept and can be paid out when the "
        "suspension is lifted."
    )


class PayoutNotOpen(DomainError):
    default_code = "payout_state"
    default_detail = "This payout's status does not allow this step. See its status."


class PartialReturn(Unprocessable):
    default_code = "partial_return"
    attr = "amount"

    def __init__(self, whole: str, currency: str):
        super().__init__(
            f"A bank returns a payout as a whole: {whole} {currency}. Leave the"
            " amount out, and book a fee that the bank has kept outside of the service."
        )


class SamePerson(DomainError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "same_person"
    default_detail = "You requested or receive this payout. Ask another administrator."


class NoDebt(DomainError):
    default_code = "no_debt"
    default_detail = "This creator owes nothing in this currency: there is no debt to write off."
