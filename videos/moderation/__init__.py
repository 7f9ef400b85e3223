"""Moderation: reports of viewers, the decisions about them, appeals, and suspended creators.

Modules: `models`, `cases` (reports and decisions), `appealing`, `suspending`, `waiting` (the clock),
`standing` (what an owner is shown), `views` and `serializers` (the API), `desk` (the admin site).
"""
