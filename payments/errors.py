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
    default_detail = (
        "There is no plan with this code that you can subscribe to. Choose one of the listed plans."
    )


class NoSubscription(NotVisible):
    default_code = "no_subscription"
    default_detail = "You have no subscription. Subscribe to a plan first."


class OwnVideo(DomainError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "own_video"
    default_detail = (
        "This is your own video, so you cannot buy it. You can watch it without paying."
    )


class AlreadyOwned(DomainError):
    default_code = "already_owned"
    default_detail = (
        "You have bought or rented this video already, so nothing was charged. Find it among"
        " your orders."
    )


class CoveredBySubscription(DomainError):
    default_code = "covered_by_subscription"
    default_detail = (
        'Your subscription lets you watch this video already. Send "force": true to buy it anyway.'
    )


class PriceChanged(DomainError):
    default_code = "price_changed"
    attr = "expected_amount"

    def __init__(self, current: str, currency: str):
        super().__init__(
            f"The price has changed to {current} {currency}, so nothing was charged. Send it as"
            " expected_amount to buy the video."
        )
        self.extra = {"current_amount": current, "currency": currency}


class NotForSale(Unprocessable):
    default_code = "not_for_sale"
    default_detail = (
        "This video has no price for this way of paying, so nothing was charged. Choose one of its"
        " offers."
    )


class CurrencyUnsupported(Unprocessable):
    default_code = "currency_unsupported"
    default_detail = (
        "This video is not sold in this currency. Pay in the currency of the video's offers."
    )
    attr = "currency"


class AmountBelowMinimum(Unprocessable):
    default_code = "amount_below_minimum"
    default_detail = (
        "The payment gateway cannot charge this amount, so nothing was charged. Choose another"
        " offer."
    )


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
        "The operator has not allowed this address, so nothing was charged. Use one of this service,"
        " or ask for its origin to be added to CHECKOUT_RETURN_ORIGINS."
    )
    attr = "return_url"


class CardDeclined(DomainError):
    status_code = status.HTTP_402_PAYMENT_REQUIRED
    default_code = "card_declined"

    def __init__(self, decline_code: str):
        super().__init__(
            f"The card was declined ({decline_code}), and nothing was charged. Try another card."
        )
        self.decline_code = decline_code
        self.extra = {"decline_code": decline_code}


class PaymentMethodUnknown(Unprocessable):
    default_code = "payment_method_unknown"
    default_detail = (
        "The payment gateway does not know this payment method. Send the id of another one."
    )
    attr = "payment_method"


class GatewayUnavailable(ServiceUnavailable):
    default_code = "gateway_unavailable"
    default_detail = (
        "The payment gateway does not answer, so the outcome is not known. Repeat the call: it"
        " continues where it stopped and charges nothing twice."
    )


class AlreadySubscribed(DomainError):
    default_code = "already_subscribed"
    default_detail = (
        "You have a subscription already, so nothing was charged. Change its plan instead."
    )


class NotCanceled(DomainError):
    default_code = "not_canceled"
    default_detail = (
        "Your subscription was not canceled for the end of its period, so there is nothing to"
        " resume."
    )


class PlanUnchanged(DomainError):
    default_code = "plan_unchanged"
    default_detail = "This is your plan already, so nothing was changed. Choose another plan."


class SubscriptionNotRunning(DomainError):
    default_code = "subscription_not_running"
    default_detail = (
        "Your subscription cannot be changed while it waits for a payment. Complete the payment"
        " first."
    )


class Disputed(DomainError):
    default_code = "disputed"
    default_detail = (
        "The buyer's bank holds this money, so a refund would pay it twice. Wait for the end of"
        " the dispute."
    )


class RefundWindowClosed(DomainError):
    default_code = "refund_window_closed"
    default_detail = (
        "The time in which you can return this video is over. Ask the operator if something is"
        " wrong with it."
    )


class WatchedTooMuch(DomainError):
    default_code = "watched_too_much"
    default_detail = (
        "You have watched too much of this video to return it. Ask the operator if something is"
        " wrong with it."
    )


class NothingToRefund(DomainError):
    default_code = "not_refundable"
    default_detail = (
        "No money is left to refund: none was captured, or all of it was refunded before."
    )


class RefundInProgress(DomainError):
    default_code = "refund_in_progress"
    default_detail = (
        "A refund of all remaining money is under way, and its outcome is not known yet. Try"
        " again in a minute."
    )
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
    default_detail = (
        "This order does not wait for a payment, or one is under way. See its status before you"
        " try again."
    )


class KeyReused(Unprocessable):
    default_code = "idempotency_key_reused"
    default_detail = (
        "This Idempotency-Key was used for another request. Send each request with a key of its"
        " own."
    )


class KeyInProgress(DomainError):
    default_code = "idempotency_in_progress"
    default_detail = (
        "A request with this Idempotency-Key is still running. Repeat the call in a second to"
        " get its answer."
    )
    retry_after = 1


class PeriodNotOver(DomainError):
    default_code = "period_not_over"
    default_detail = (
        "This month cannot be closed yet, because news of its payments may still come. Try"
        " again later."
    )


class EarlierPeriodOpen(DomainError):
    default_code = "earlier_period_open"

    def __init__(self, period: str, currency: str):
        super().__init__(
            f"An earlier month, {period}, is not closed in {currency} yet. Close that month first."
        )
        self.extra = {"period": period, "currency": currency}


class NothingToPayOut(DomainError):
    default_code = "nothing_to_pay_out"
    default_detail = (
        "No balance reaches the minimum for a payout, or a payout of it is under way. Try again"
        " later."
    )


class PayoutNotOpen(DomainError):
    default_code = "payout_state"
    default_detail = (
        "The status of this payout does not allow this step. See its status before you try again."
    )


class SamePerson(DomainError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "same_person"
    default_detail = (
        "You requested this payout or receive it, so you cannot approve it. Ask another"
        " administrator."
    )


class NoDebt(DomainError):
    default_code = "no_debt"
    default_detail = "This creator owes nothing in this currency, so there is nothing to write off."
