"""Who may use the endpoints of money: one permission each."""

from config.api.permissions import requires

MaySeeEarnings = requires("payments.view_own_earnings", "Only creators have earnings.")
MayRequestPayout = requires("payments.request_payout", "Only creators are paid out.")
MaySetPrices = requires("videos.add_video", "Only creators set prices.")
MaySeeRevenue = requires(
    "payments.view_revenue", "Only administrators may see the platform's revenue."
)
MayRefund = requires("payments.refund_order", "Only administrators may refund an order.")
MayAnswerDisputes = requires("payments.answer_dispute", "Only administrators may answer a dispute.")
MayOperateSandbox = requires(
    "payments.operate_sandbox", "Only administrators may switch the sandbox."
)
MayManagePayouts = requires(
    "payments.manage_payouts", "Only administrators may run and complete payouts."
)
MayClosePools = requires("payments.close_pool", "Only administrators may close a month.")
MayChangePlans = requires("payments.change_plan", "Only administrators may change plans.")
MayChangeCoupons = requires("payments.change_coupon", "Only administrators may change coupons.")
MayReplayEvents = requires(
    "payments.replay_webhookevent",
    "Only administrators may process webhook events again, or reconcile.",
)
