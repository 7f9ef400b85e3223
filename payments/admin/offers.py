from django import forms
from django.contrib import admin

from config import money
from config.admin import ByService, HouseAdmin, ReadOnlyAdmin, amount, shown
from payments import models
from payments.services.offers import coupons, plans


class PlanForm(forms.ModelForm):
    def clean_amount(self):
        found = self.cleaned_data["amount"]
        if not 0 < found <= money.MAX_MINOR:
            raise forms.ValidationError("The price must be above zero.")
        return found


@admin.register(models.Plan)
class PlanAdmin(ByService, HouseAdmin):
    form = PlanForm
    list_display = [
        "code", "name", amount("amount", "price"), "interval", "trial_days", "is_active",
    ]  # fmt: skip
    list_filter = ["is_active", "interval"]

    def get_readonly_fields(self, request, obj=None):
        # A price that was sold stands: a new price is a new plan.
        return ["code", "amount", "currency", "interval", "trial_days"] if obj else []

    def make(self, actor, **fields):
        return plans.create_plan(actor=actor, **fields)

    def change(self, plan, actor, **fields):
        return plans.change_plan(plan_id=plan.pk, actor=actor, **fields)


class CouponForm(forms.ModelForm):
    def clean_max_redemptions(self):
        limit = self.cleaned_data["max_redemptions"]
        if limit is not None and limit < self.instance.redeemed:
            raise forms.ValidationError(f"It was used {self.instance.redeemed} times already.")
        return limit

    def clean_amount(self):
        found = self.cleaned_data["amount"]
        if found is not None and not 0 < found <= money.MAX_MINOR:
            raise forms.ValidationError("The amount must be above zero.")
        return found

    def clean(self):
        found = super().clean()
        begin, end = found.get("starts_at"), found.get("ends_at")
        if begin and end and end <= begin:
            self.add_error("ends_at", "The end must be after the beginning.")
        return found


@admin.register(models.Coupon)
class CouponAdmin(ByService, HouseAdmin):
    form = CouponForm
    list_display = [
        "code",
        "worth",
        "funded_by",
        "creator",
        "used",
        "starts_at",
        "ends_at",
        "is_active",
    ]
    list_filter = ["is_active", "funded_by"]
    list_select_related = ["creator"]
    search_fields = ["code", "creator__email"]
    raw_id_fields = ["creator"]
    readonly_fields = ["redeemed"]

    def get_readonly_fields(self, request, obj=None):
        used = obj is not None and obj.redemptions.exists()
        return [*self.readonly_fields, *(coupons.FIXED_ONCE_USED if used else ())]

    @admin.display(description="takes off")
    def worth(self, coupon):
        if coupon.percent_bps is not None:
            return f"{coupon.percent_bps / 100:g} %"
        return shown(coupon.amount, coupon.currency)

    @admin.display(description="used")
    def used(self, coupon):
        return f"{coupon.redeemed} of {coupon.max_redemptions or '∞'}"

    def make(self, actor, **fields):
        return coupons.create_coupon(actor=actor, **fields)

    def change(self, coupon, actor, **fields):
        return coupons.change_coupon(coupon_id=coupon.pk, actor=actor, **fields)


@admin.register(models.CouponRedemption)
class CouponRedemptionAdmin(ReadOnlyAdmin):
    list_display = ["coupon", "user", "order", "state", "created_at"]
    list_filter = ["state"]
    list_select_related = ["coupon", "user", "order"]
    search_fields = ["coupon__code", "user__email"]
