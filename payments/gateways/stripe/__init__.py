"""Stripe. Imported only where it is the gateway: the SDK is large."""

from payments.gateways.stripe.gateway import StripeGateway

__all__ = ["StripeGateway"]
