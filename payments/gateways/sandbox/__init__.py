"""A gateway without a bank: real tables, real webhooks, a clock that can be moved. No money."""

from payments.gateways.sandbox.cards import METHODS
from payments.gateways.sandbox.gateway import SandboxGateway

__all__ = ["METHODS", "SandboxGateway"]
