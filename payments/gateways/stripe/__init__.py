"""The gateway Stripe. Import it only where it is used, because its SDK is large."""

from payments.gateways.stripe.gateway import StripeGateway

__all__ = ["StripeGateway"]
