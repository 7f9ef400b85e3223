from rest_framework.permissions import BasePermission


class MaySeeEarnings(BasePermission):
    message = "Only creators have earnings."

    def has_permission(self, request, view):
        return request.user.has_perm("payments.view_own_earnings")


class MaySeeRevenue(BasePermission):
    message = "Only administrators may see the platform's revenue."

    def has_permission(self, request, view):
        return request.user.has_perm("payments.view_revenue")


class MayRefund(BasePermission):
    message = "Only administrators may refund an order."

    def has_permission(self, request, view):
        return request.user.has_perm("payments.refund_order")


class MayMoveSandbox(BasePermission):
    message = "Only administrators may switch the sandbox."

    def has_permission(self, request, view):
        return request.user.has_perm("payments.refund_order")


class MayManagePayouts(BasePermission):
    message = "Only administrators may run and settle payouts."

    def has_permission(self, request, view):
        return request.user.has_perm("payments.manage_payouts")


class MayClosePools(BasePermission):
    message = "Only administrators may close a month."

    def has_permission(self, request, view):
        return request.user.has_perm("payments.close_pool")


class MayManageOffers(BasePermission):
    message = "Only administrators may change plans and coupons."

    def has_permission(self, request, view):
        return request.user.has_perm("payments.change_plan")


class MayTakeInNews(BasePermission):
    message = "Only administrators may ask the gateways for their news again."

    def has_permission(self, request, view):
        return request.user.has_perm("payments.replay_webhookevent")
