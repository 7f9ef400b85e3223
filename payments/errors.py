"""What can be refused about money, with the codes of the contract."""

from rest_framework import status

from config.errors import DomainError, NotVisible, Unavailable


class Unprocessable(DomainError):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


class VideoNotFound(NotVisible):
    default_code = "video_not_found"
    default_detail = "There is no such film, or it is not yours to see."


class PlanNotFound(NotVisible):
    default_code = "plan_not_found"
    default_detail = "There is no such plan."


class NoSubscription(NotVisible):
    default_code = "no_subscription"
    default_detail = "You have no subscription."


class OwnVideo(DomainError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "own_video"
    default_detail = "This film is yours already."


class AlreadyOwned(DomainError):
    default_code = "already_owned"
    default_detail = "You have bought this film."


class CoveredBySubscription(DomainError):
    default_code = "covered_by_subscription"
    default_detail = (
        'Your subscription covers this film. Send "force": true to buy it all the same.'
    )


class PriceChanged(DomainError):
    default_code = "price_changed"
    attr = "expected_amount"

    def __init__(self, current: str, currency: str):
        super().__init__(f"The price is now {current} {currency}.")


class NotForSale(Unprocessable):
    default_code = "not_for_sale"
    default_detail = "This film is not for sale like this."


class CurrencyUnsupported(Unprocessable):
    default_code = "currency_unsupported"
    default_detail = "This film is not sold in that currency."
    attr = "currency"


class CardDeclined(DomainError):
    status_code = status.HTTP_402_PAYMENT_REQUIRED
    default_code = "card_declined"

    def __init__(self, decline_code: str):
        super().__init__(f"The card was declined ({decline_code}). Try another one.")


class PaymentMethodUnknown(Unprocessable):
    default_code = "payment_method_unknown"
    default_detail = "The gateway does not know this payment method."
    attr = "payment_method"


class GatewayUnavailable(Unavailable):
    default_code = "gateway_unavailable"
    default_detail = (
        "The payment gateway does not answer. Repeat the call: it goes on where it was."
    )


class AlreadySubscribed(DomainError):
    default_code = "already_subscribed"
    default_detail = "You have a subscription."


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
