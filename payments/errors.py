"""The refusals about money. Their codes are part of the API: clients act on them, so they stay."""

from rest_framework import status

from config.errors import DomainError, NotVisible, ServiceUnavailable


class Unprocessable(DomainError):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


class VideoNotFound(NotVisible):
    default_code = "video_not_found"
    default_detail = "There is no such video, or it is not yours to see."


class PlanNotFound(NotVisible):
    default_code = "plan_not_found"
    default_detail = "There is no such plan."


class NoSubscription(NotVisible):
    default_code = "no_subscription"
    default_detail = "You have no subscription."


class OwnVideo(DomainError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "own_video"
    default_detail = "This video is yours already."


class AlreadyOwned(DomainError):
    default_code = "already_owned"
    default_detail = "You have bought this video."


class CoveredBySubscription(DomainError):
    default_code = "covered_by_subscription"
    default_detail = (
        'Your subscription covers this video. Send "force": true to buy it all the same.'
    )


class PriceChanged(DomainError):
    default_code = "price_changed"
    attr = "expected_amount"

    def __init__(self, current: str, currency: str):
        super().__init__(f"The price is now {current} {currency}.")
        self.extra = {"current_amount": current, "currency": currency}


class NotForSale(Unprocessable):
    default_code = "not_for_sale"
    default_detail = "This video is not for sale like this."


class CurrencyUnsupported(Unprocessable):
    default_code = "currency_unsupported"
    default_detail = "This video is not sold in that currency."
    attr = "currency"


class AmountBelowMinimum(Unprocessable):
    default_code = "amount_below_minimum"
    default_detail = "The gateway cannot charge this amount."


class CouponInvalid(Unprocessable):
    default_code = "coupon_invalid"
    default_detail = "This coupon cannot be used."
    attr = "coupon"


class ReturnUrlRefused(DomainError):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "return_url_refused"
    default_detail = "Buyers are sent back only to addresses that the operator has allowed."
    attr = "return_url"


class CardDeclined(DomainError):
    status_code = status.HTTP_402_PAYMENT_REQUIRED
    default_code = "card_declined"

    def __init__(self, decline_code: str):
        super().__init__(f"The card was declined ({decline_code}). Try another one.")
        self.decline_code = decline_code
        self.extra = {"decline_code": decline_code}


class PaymentMethodUnknown(Unprocessable):
    default_code = "payment_method_unknown"
    default_detail = "The gateway does not know this payment method."
    attr = "payment_method"


class GatewayUnavailable(ServiceUnavailable):
    default_code = "gateway_unavailable"
    default_detail = (
        "The payment gateway does not answer. Repeat the call: it goes on where it was."
    )


class AlreadySubscribed(DomainError):
    default_code = "already_subscribed"
    default_detail = "You have a subscription."


class NotCancelled(DomainError):
    default_code = "not_canceled"
    default_detail = "Your subscription has not been canceled: there is nothing to resume."


class PlanUnchanged(DomainError):
    default_code = "plan_unchanged"
    default_detail = "This is the plan that you have."


class SubscriptionNotRunning(DomainError):
    default_code = "subscription_not_running"
    default_detail = "Your subscription must be paid before it can be changed."


class Disputed(DomainError):
    default_code = "disputed"
    default_detail = "The buyer's bank holds this money: a refund would pay it a second time."


class RefundWindowClosed(DomainError):
    default_code = "refund_window_closed"
    default_detail = "The time in which you can give this video back is over."


class WatchedTooMuch(DomainError):
    default_code = "watched_too_much"
    default_detail = "You have watched too much of this video to give it back."


class NothingToRefund(DomainError):
    default_code = "not_refundable"
    default_detail = "This order holds no money that could be refunded."


class RefundInProgress(DomainError):
    default_code = "refund_in_progress"
    default_detail = "A refund of all that is left is under way; its outcome is not known yet."
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
    default_detail = "This order is not open."


class KeyReused(Unprocessable):
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was used for another request."


class KeyInProgress(DomainError):
    default_code = "idempotency_in_progress"
    default_detail = "A request with this Idempotency-Key is still running."
    retry_after = 1


class PeriodNotOver(DomainError):
    default_code = "period_not_over"
    default_detail = "This month cannot be closed yet: late news of it may still come."


class EarlierPeriodOpen(DomainError):
    default_code = "earlier_period_open"

    def __init__(self, period: str, currency: str):
        super().__init__(f"Close {period} first: it has not been shared out in {currency}.")
        self.extra = {"period": period, "currency": currency}


class NothingToPayOut(DomainError):
    default_code = "nothing_to_pay_out"
    default_detail = "No balance that may be paid out reaches the minimum, or it is on its way."


class PayoutNotOpen(DomainError):
    default_code = "payout_state"
    default_detail = "This payout is not in a state that allows this."


class SamePerson(DomainError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "same_person"
    default_detail = "Somebody else must approve this payout."


class NoDebt(DomainError):
    default_code = "no_debt"
    default_detail = "This creator owes nothing in that currency."
