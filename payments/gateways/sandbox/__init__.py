"""The sandbox: a gateway without a bank, for trying and testing. No real money moves.

It keeps its own tables (`payments/models/sandbox.py`), sends signed webhook messages, and has a clock
that can be moved forward.
"""

from payments.gateways.sandbox.gateway import SandboxGateway

__all__ = ["SandboxGateway"]
