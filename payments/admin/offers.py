"""Plans, coupons and the uses of coupons in the admin site."""

from django import forms
from django.contrib import admin

from config import money
from config.admin import (
    ReadOnlyAdmin,
    ServiceAdmin,
    money_column,
    money_text,
    percent_text,
)
from payments import models
from payments.services.offers import coupons, plans


class PlanForm(forms.ModelForm):
    def clean_amount(self):
        amount = self.cleaned_data["amount"]
        if not 0 < amount <= money.MAX_MINOR:
            raise forms.ValidationError("The price must be above zero.")
        return amount


@admin.register(models.Plan)
class PlanAdmin(ServiceAdmin[models.Plan]):
    form = PlanForm
    list_display = ["code", "name", "price", "interval", "trial_days", "max_streams", "is_active"]
    list_filter = ["is_active", "interval"]

    price = money_column("amount", "price")

    def get_fields(self, request, obj=None):
        price = ["price"] if obj else ["amount", "currency"]
        return ["code", "name", *price, "interval", "trial_days", "max_streams", "is_active"]

    def get_readonly_fields(self, request, obj=None):
        # Subscribers have agreed to these terms. A new price needs a new plan.
        return ["code", "price", "interval", "trial_days"] if obj else []

    def create_row(self, actor, fields):
        return plans.create_plan(actor=actor, **fields)

    def change_row(self, actor, row, fields):
        return plans.change_plan(plan_id=row.pk, actor=actor, **fields)


class CouponForm(forms.ModelForm):
    def clean_max_redemptions(self):
        limit = self.cleaned_data["max_redemptions"]
        if limit is not None and limit < self.instance.redeemed:
            raise forms.ValidationError(
                f"This coupon was used {self.instance.redeemed} times already."
            )
        return limit


@admin.register(models.Coupon)
class CouponAdmin(ServiceAdmin[models.Coupon]):
    form = CouponForm
    list_display = [
        "code", "worth", "funded_by", "creator", "used", "starts_at", "ends_at", "is_active",
    ]  # fmt: skip
    list_filter = ["is_active", "funded_by"]
    list_select_related = ["creator"]
    search_fields = ["code", "creator__email"]
    raw_id_fields = ["creator"]

    def get_fields(self, request, obj=None):
        worth = ["worth"] if self.is_used(obj) else ["percent_bps", "amount", "currency"]
        return [
            "code", *worth, "funded_by", "creator", "max_redemptions", "per_user", "redeemed",
            "starts_at", "ends_at", "is_active",
        ]  # fmt: skip

    def get_readonly_fields(self, request, obj=None):
        return ["redeemed", "worth", *(coupons.FIXED_ONCE_USED if self.is_used(obj) else ())]

    def is_used(self, coupon: models.Coupon | None) -> bool:
        return coupon is not None and coupon.redemptions.exists()

    @admin.display(description="discount")
    def worth(self, coupon):
        if coupon.percent_bps is not None:
            return percent_text(coupon.percent_bps)
        return money_text(coupon.amount, coupon.currency)

    @admin.display(description="uses")
    def used(self, coupon):
        return f"{coupon.redeemed} of {coupon.max_redemptions or '∞'}"

    def create_row(self, actor, fields):
        return coupons.create_coupon(actor=actor, **fields)

    def change_row(self, actor, row, fields):
        return coupons.change_coupon(coupon_id=row.pk, actor=actor, **fields)


@admin.register(models.CouponRedemption)
class CouponRedemptionAdmin(ReadOnlyAdmin):
    list_display = ["coupon", "user", "order", "state", "created_at"]
    list_filter = ["state"]
    list_select_related = ["coupon", "user", "order"]
    search_fields = ["coupon__code", "user__email"]
