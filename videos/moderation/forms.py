"""The forms of a decision on the admin site, and of the pages for reports and appeals."""

from django import forms

from videos.moderation.decisions import Decision
from videos.moderation.models import TEXT_MAX, Reason


class DecisionForm(forms.Form):
    """A reason and words, as far as the decision wants them."""

    reason = forms.ChoiceField(
        choices=[("", "Choose a reason"), *Reason.choices],
        help_text="The creator is told this reason.",
    )
    note = forms.CharField(
        max_length=TEXT_MAX,
        widget=forms.Textarea(attrs={"rows": 4}),
        label="In your words",
    )

    def __init__(self, *args, decision: Decision, **kwargs):
        super().__init__(*args, **kwargs)
        if not decision.wants_reason:
            del self.fields["reason"]
        if not decision.has_note:
            del self.fields["note"]
            return
        self.fields["note"].required = decision.wants_note
        self.fields["note"].help_text = decision.note_help


class ReportForm(forms.Form):
    """A viewer's report of a video."""

    reason = forms.ChoiceField(
        choices=[("", "Choose a reason"), *Reason.choices], label="What is wrong?"
    )
    detail = forms.CharField(
        max_length=TEXT_MAX,
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        label="In your words (optional)",
        help_text="Say what is wrong, and at what time in the video.",
    )


class AppealForm(forms.Form):
    """A creator's appeal against a take-down."""

    detail = forms.CharField(
        max_length=TEXT_MAX,
        widget=forms.Textarea(attrs={"rows": 6}),
        label="Why should the video be restored?",
    )
