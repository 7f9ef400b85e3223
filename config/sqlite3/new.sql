-- `python -m config.tests.migrating --write` made this; SHA-256 of migrations: db803b6e4c24580fc5036417f0d35ee884ae81ba02e3ddca50c5e89ee9f28618;

CREATE TABLE "accounts_apikey" ("id" char(32) NOT NULL PRIMARY KEY, "name" varchar(60) NOT NULL, "scopes" text NOT NULL CHECK ((JSON_VALID("scopes") OR "scopes" IS NULL)), "digest" varchar(64) NOT NULL, "created_at" datetime NOT NULL, "last_used_at" datetime NULL, "expires_at" datetime NULL, "revoked_at" datetime NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "accounts_erasure" ("id" char(32) NOT NULL PRIMARY KEY, "email" varchar(254) NOT NULL, "display_name" varchar(100) NOT NULL, "asked_at" datetime NOT NULL, "not_before" datetime NOT NULL, "attempts" integer unsigned NOT NULL CHECK ("attempts" >= 0), "finished_at" datetime NULL, "asked_by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" char(32) NOT NULL UNIQUE REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "erasure_forgets" CHECK (("finished_at" IS NULL OR ("display_name" = '' AND "email" = ''))));

CREATE TABLE "accounts_mailedlink" ("id" char(32) NOT NULL PRIMARY KEY, "purpose" varchar(20) NOT NULL, "email" varchar(254) NOT NULL, "created_at" datetime NOT NULL, "expires_at" datetime NOT NULL, "mailed_at" datetime NULL, "ended_at" datetime NULL, "user_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "accounts_provideridentity" ("id" char(32) NOT NULL PRIMARY KEY, "issuer" varchar(255) NOT NULL, "subject" varchar(255) NOT NULL, "created_at" datetime NOT NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "identity_of_subject" UNIQUE ("issuer", "subject"), CONSTRAINT "identity_of_user" UNIQUE ("user_id", "issuer"));

CREATE TABLE "accounts_recoverycode" ("id" char(32) NOT NULL PRIMARY KEY, "digest" varchar(64) NOT NULL, "used_at" datetime NULL, "totp_id" char(32) NOT NULL REFERENCES "accounts_totp" ("user_id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "recovery_code_once" UNIQUE ("totp_id", "digest"));

CREATE TABLE "accounts_refreshfamily" ("id" char(32) NOT NULL PRIMARY KEY, "current" varchar(32) NOT NULL, "created_at" datetime NOT NULL, "expires_at" datetime NOT NULL, "revoked_at" datetime NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "previous" varchar(32) NOT NULL, "network" varchar(64) NOT NULL, "rotated_at" datetime NULL, "user_agent" varchar(200) NOT NULL);

CREATE TABLE "accounts_signincode" ("digest" varchar(64) NOT NULL PRIMARY KEY, "expires_at" datetime NOT NULL, "used_at" datetime NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "accounts_totp" ("user_id" char(32) NOT NULL PRIMARY KEY REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "sealed_secret" text NOT NULL, "begun_at" datetime NOT NULL, "confirmed_at" datetime NULL, "last_step" bigint NOT NULL, "failures" integer unsigned NOT NULL CHECK ("failures" >= 0), "locked_until" datetime NULL);

CREATE TABLE "accounts_user" ("password" varchar(128) NOT NULL, "last_login" datetime NULL, "is_superuser" bool NOT NULL, "id" char(32) NOT NULL PRIMARY KEY, "email" varchar(254) NOT NULL UNIQUE, "display_name" varchar(100) NOT NULL, "is_staff" bool NOT NULL, "is_active" bool NOT NULL, "created_at" datetime NOT NULL, "role_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED, "is_moderator" bool NOT NULL, "suspended_at" datetime NULL, "email_verified" bool NOT NULL, "embed_domains" text NOT NULL CHECK ((JSON_VALID("embed_domains") OR "embed_domains" IS NULL)), CONSTRAINT "user_email_not_empty" CHECK (NOT ("email" = '')));

CREATE TABLE "accounts_user_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "accounts_user_user_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "analytics_reaction" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "value" varchar(8) NOT NULL, "at" datetime NOT NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "video_id" char(32) NOT NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "reaction_once" UNIQUE ("user_id", "video_id"));

CREATE TABLE "analytics_rollup" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "day" date NOT NULL, "kind" varchar(7) NOT NULL, "ref" char(32) NOT NULL, "creator" char(32) NULL, "views" integer unsigned NOT NULL CHECK ("views" >= 0), "sessions" integer unsigned NOT NULL CHECK ("sessions" >= 0), "watch_ms" bigint unsigned NOT NULL CHECK ("watch_ms" >= 0), "viewers" BLOB NOT NULL, "sources" text NOT NULL CHECK ((JSON_VALID("sources") OR "sources" IS NULL)), "cells" BLOB NOT NULL, "retention" text NULL CHECK ((JSON_VALID("retention") OR "retention" IS NULL)), CONSTRAINT "rollup_once" UNIQUE ("kind", "ref", "day"));

CREATE TABLE "analytics_rollupday" ("day" date NOT NULL PRIMARY KEY, "folded_at" datetime NULL, "pruned_at" datetime NULL, "changes" integer unsigned NOT NULL CHECK ("changes" >= 0), "claimed_at" datetime NULL, "compared_at" datetime NULL, "in_month" bool NOT NULL, CONSTRAINT "rollup_pruned_is_folded" CHECK (("pruned_at" IS NULL OR "folded_at" IS NOT NULL)));

CREATE TABLE "analytics_rollupmonth" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "month" date NOT NULL, "kind" varchar(7) NOT NULL, "ref" char(32) NOT NULL, "creator" char(32) NOT NULL, "views" integer unsigned NOT NULL CHECK ("views" >= 0), "sessions" integer unsigned NOT NULL CHECK ("sessions" >= 0), "watch_ms" bigint unsigned NOT NULL CHECK ("watch_ms" >= 0), "viewers" BLOB NOT NULL, CONSTRAINT "rollup_month_once" UNIQUE ("month", "kind", "ref", "creator"));

CREATE TABLE "analytics_videoview" ("id" char(32) NOT NULL PRIMARY KEY, "viewer_key" varchar(64) NOT NULL, "at" datetime NOT NULL, "creator_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "session_id" char(32) NOT NULL UNIQUE REFERENCES "streaming_playbacksession" ("id") DEFERRABLE INITIALLY DEFERRED, "video_id" char(32) NOT NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, "network_key" varchar(40) NOT NULL);

CREATE TABLE "analytics_viewernumber" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "viewer_key" varchar(64) NOT NULL UNIQUE);

CREATE TABLE "audit_apirequest" ("number" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "method" varchar(10) NOT NULL, "path" varchar(200) NOT NULL, "status" smallint unsigned NOT NULL CHECK ("status" >= 0), "duration_ms" integer unsigned NULL CHECK ("duration_ms" >= 0), "request_id" varchar(128) NOT NULL, "count" integer unsigned NULL CHECK ("count" >= 0), "until" datetime NULL, "caller_id" bigint NULL);

CREATE TABLE "audit_auditcheck" ("id" smallint unsigned NOT NULL PRIMARY KEY CHECK ("id" >= 0), "at" datetime NOT NULL, "reason" varchar(500) NOT NULL);

CREATE TABLE "audit_auditcheckpoint" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "at" datetime NOT NULL, "reason" varchar(10) NOT NULL, "position" bigint unsigned NOT NULL CHECK ("position" >= 0), "hash" varchar(64) NOT NULL, "begins_at" bigint unsigned NOT NULL CHECK ("begins_at" >= 0), "base" varchar(64) NOT NULL, "key_id" varchar(16) NOT NULL, "signature" varchar(64) NOT NULL);

CREATE TABLE "audit_auditentry" ("id" char(32) NOT NULL PRIMARY KEY, "at" datetime NOT NULL, "action" varchar(40) NOT NULL, "method" varchar(10) NOT NULL, "path" varchar(500) NOT NULL, "status" smallint unsigned NULL CHECK ("status" >= 0), "target_type" varchar(40) NOT NULL, "target_id" varchar(64) NOT NULL, "ip" char(39) NULL, "user_agent" varchar(300) NOT NULL, "request_id" varchar(128) NOT NULL, "duration_ms" integer unsigned NULL CHECK ("duration_ms" >= 0), "data" text NOT NULL CHECK ((JSON_VALID("data") OR "data" IS NULL)), "position" bigint unsigned NULL CHECK ("position" >= 0), "hash" varchar(64) NULL, "actor_id" char(32) NULL);

CREATE TABLE "audit_caller" ("number" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "day" date NOT NULL, "ip" char(39) NULL, "user_agent" varchar(200) NOT NULL, "actor_id" char(32) NULL);

CREATE TABLE "auth_group" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(150) NOT NULL UNIQUE);

CREATE TABLE "auth_group_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "auth_permission" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "content_type_id" integer NOT NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "codename" varchar(100) NOT NULL, "name" varchar(255) NOT NULL);

CREATE TABLE "django_admin_log" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "object_id" text NULL, "object_repr" varchar(200) NOT NULL, "action_flag" smallint unsigned NOT NULL CHECK ("action_flag" >= 0), "change_message" text NOT NULL, "content_type_id" integer NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "action_time" datetime NOT NULL);

CREATE TABLE "django_content_type" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app_label" varchar(100) NOT NULL, "model" varchar(100) NOT NULL);

CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL);

CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" datetime NOT NULL);

CREATE TABLE "payments_conversion" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "external_id" varchar(120) NOT NULL, "currency" varchar(3) NOT NULL, "amount" bigint NOT NULL, "fee" bigint NOT NULL, "presented" bigint NOT NULL, "created_at" datetime NOT NULL, "payment_id" char(32) NOT NULL REFERENCES "payments_payment" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "conversion_once" UNIQUE ("payment_id", "external_id"));

CREATE TABLE "payments_coupon" ("id" char(32) NOT NULL PRIMARY KEY, "code" varchar(40) NOT NULL, "percent_bps" integer unsigned NULL CHECK ("percent_bps" >= 0), "amount" bigint NULL, "currency" varchar(3) NOT NULL, "funded_by" varchar(8) NOT NULL, "max_redemptions" integer unsigned NULL CHECK ("max_redemptions" >= 0), "per_user" integer unsigned NOT NULL CHECK ("per_user" >= 0), "redeemed" integer unsigned NOT NULL CHECK ("redeemed" >= 0), "starts_at" datetime NOT NULL, "ends_at" datetime NULL, "is_active" bool NOT NULL, "created_at" datetime NOT NULL, "creator_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "coupon_limit" CHECK (("max_redemptions" IS NULL OR "redeemed" <= ("max_redemptions"))), CONSTRAINT "coupon_percent_or_amount" CHECK ((("amount" IS NULL AND "percent_bps" > 0 AND "percent_bps" IS NOT NULL AND "percent_bps" <= 10000) OR ("amount" > 0 AND "amount" IS NOT NULL AND "percent_bps" IS NULL))), CONSTRAINT "coupon_creator_pays" CHECK ((NOT ("funded_by" = 'creator') OR "creator_id" IS NOT NULL)));

CREATE TABLE "payments_couponredemption" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "state" varchar(8) NOT NULL, "created_at" datetime NOT NULL, "coupon_id" char(32) NOT NULL REFERENCES "payments_coupon" ("id") DEFERRABLE INITIALLY DEFERRED, "order_id" char(32) NOT NULL UNIQUE REFERENCES "payments_order" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "payments_dispute" ("id" char(32) NOT NULL PRIMARY KEY, "external_id" varchar(120) NOT NULL, "amount" bigint NOT NULL, "withdrawn" bigint NOT NULL, "reinstated" bigint NOT NULL, "fee" bigint NOT NULL, "status" varchar(16) NOT NULL, "reason" varchar(60) NOT NULL, "evidence_due" datetime NULL, "created_at" datetime NOT NULL, "withdrawn_at" datetime NULL, "payment_id" char(32) NOT NULL REFERENCES "payments_payment" ("id") DEFERRABLE INITIALLY DEFERRED, "submissions" integer unsigned NOT NULL CHECK ("submissions" >= 0), CONSTRAINT "dispute_once" UNIQUE ("payment_id", "external_id"), CONSTRAINT "dispute_amounts" CHECK (("fee" >= 0 AND "reinstated" >= 0 AND "reinstated" <= ("withdrawn"))));

CREATE TABLE "payments_disputeevidence" ("id" char(32) NOT NULL PRIMARY KEY, "status" varchar(10) NOT NULL, "texts" text NOT NULL CHECK ((JSON_VALID("texts") OR "texts" IS NULL)), "files" text NOT NULL CHECK ((JSON_VALID("files") OR "files" IS NULL)), "attempt" integer unsigned NOT NULL CHECK ("attempt" >= 0), "submitted_at" datetime NULL, "changed_at" datetime NOT NULL, "dispute_id" char(32) NOT NULL UNIQUE REFERENCES "payments_dispute" ("id") DEFERRABLE INITIALLY DEFERRED, "submitted_by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "payments_entitlement" ("id" char(32) NOT NULL PRIMARY KEY, "source_type" varchar(12) NOT NULL, "source_id" char(32) NOT NULL, "starts_at" datetime NOT NULL, "ends_at" datetime NULL, "revoked_at" datetime NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "video_id" char(32) NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, "begun_at" datetime NULL, "rental_hours" integer unsigned NULL CHECK ("rental_hours" >= 0), "expired_at" datetime NULL, CONSTRAINT "entitlement_once_per_source" UNIQUE ("source_type", "source_id"));

CREATE TABLE "payments_gatewaycustomer" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "gateway" varchar(20) NOT NULL, "external_id" varchar(120) NOT NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "renewals" integer unsigned NOT NULL CHECK ("renewals" >= 0), CONSTRAINT "customer_of_user" UNIQUE ("user_id", "gateway"), CONSTRAINT "customer_once" UNIQUE ("gateway", "external_id"));

CREATE TABLE "payments_idempotencyrecord" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "key" varchar(255) NOT NULL, "fingerprint" varchar(64) NOT NULL, "claim" char(32) NOT NULL, "response_status" smallint unsigned NULL CHECK ("response_status" >= 0), "response_body" text NOT NULL, "started_at" datetime NOT NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "idempotency_key_once" UNIQUE ("user_id", "key"));

CREATE TABLE "payments_invoice" ("id" char(32) NOT NULL PRIMARY KEY, "period_start" datetime NOT NULL, "period_end" datetime NOT NULL, "amount" bigint NOT NULL, "currency" varchar(3) NOT NULL, "fee_bps" integer unsigned NOT NULL CHECK ("fee_bps" >= 0), "status" varchar(16) NOT NULL, "created_at" datetime NOT NULL, "subscription_id" char(32) NOT NULL REFERENCES "payments_subscription" ("id") DEFERRABLE INITIALLY DEFERRED, "ended_early_at" datetime NULL, "external_id" varchar(120) NULL, "paid_at" datetime NULL, "recognised" bigint NOT NULL, "recognised_upto" date NULL, "hosted_url" varchar(2000) NOT NULL, CONSTRAINT "invoice_period_once" UNIQUE ("subscription_id", "period_start"), CONSTRAINT "invoice_period" CHECK ("period_end" > ("period_start")), CONSTRAINT "invoice_once" UNIQUE ("subscription_id", "external_id"), CONSTRAINT "invoice_recognised" CHECK (("recognised" >= 0 AND "recognised" <= ("amount"))), CONSTRAINT "invoice_not_negative" CHECK ("amount" >= 0));

CREATE TABLE "payments_journalentry" ("id" char(32) NOT NULL PRIMARY KEY, "key" varchar(120) NOT NULL UNIQUE, "kind" varchar(30) NOT NULL, "effective_at" datetime NOT NULL, "payment_id" char(32) NULL REFERENCES "payments_payment" ("id") DEFERRABLE INITIALLY DEFERRED, "order_id" char(32) NULL REFERENCES "payments_order" ("id") DEFERRABLE INITIALLY DEFERRED, "payout_id" char(32) NULL REFERENCES "payments_payout" ("id") DEFERRABLE INITIALLY DEFERRED, "pool_id" char(32) NULL REFERENCES "payments_pool" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "payments_ledgeraccount" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "code" varchar(80) NOT NULL UNIQUE, "kind" varchar(10) NOT NULL, "currency" varchar(3) NOT NULL, "owner_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "role" varchar(20) NOT NULL);

CREATE TABLE "payments_ledgercheck" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "started_at" datetime NOT NULL, "seconds" real NOT NULL, "payments" bigint unsigned NOT NULL CHECK ("payments" >= 0), "discrepancies" bigint unsigned NOT NULL CHECK ("discrepancies" >= 0), "first" varchar(500) NOT NULL);

CREATE TABLE "payments_moneymode" ("number" smallint unsigned NOT NULL PRIMARY KEY CHECK ("number" >= 0), "mode" varchar(8) NOT NULL, "began_at" datetime NULL, CONSTRAINT "mode_first_has_no_beginning" CHECK ((("began_at" IS NULL AND "number" = 1) OR ("began_at" IS NOT NULL AND "number" > 1))));

CREATE TABLE "payments_notice" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "subject" varchar(200) NOT NULL, "body" text NOT NULL, "dedupe_key" varchar(120) NOT NULL UNIQUE, "created_at" datetime NOT NULL, "attempts" integer unsigned NOT NULL CHECK ("attempts" >= 0), "sent_at" datetime NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "failed_at" datetime NULL, "failure" varchar(300) NOT NULL, "not_before" datetime DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')) NOT NULL, "address" varchar(254) NOT NULL, "link_id" char(32) NULL, "html" text DEFAULT '' NOT NULL);

CREATE TABLE "payments_order" ("id" char(32) NOT NULL PRIMARY KEY, "list_amount" bigint NOT NULL, "discount" bigint NOT NULL, "amount" bigint NOT NULL, "currency" varchar(3) NOT NULL, "fee_bps" integer unsigned NOT NULL CHECK ("fee_bps" >= 0), "status" varchar(12) NOT NULL, "gateway" varchar(20) NOT NULL, "attempt" integer unsigned NOT NULL CHECK ("attempt" >= 0), "created_at" datetime NOT NULL, "expires_at" datetime NOT NULL, "paid_at" datetime NULL, "buyer_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "creator_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "video_id" char(32) NOT NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, "changed_at" datetime NOT NULL, "checkout_closed" bool NOT NULL, "checkout_id" varchar(120) NULL UNIQUE, "checkout_url" varchar(2000) NOT NULL, "kind" varchar(4) NOT NULL, "rental_hours" integer unsigned NULL CHECK ("rental_hours" >= 0), "coupon_id" char(32) NULL REFERENCES "payments_coupon" ("id") DEFERRABLE INITIALLY DEFERRED, "available_from" datetime NULL, "fulfilled_at" datetime NULL, "returning_at" datetime NULL, CONSTRAINT "order_fee" CHECK ("fee_bps" <= 10000), CONSTRAINT "order_not_own_film" CHECK (NOT ("buyer_id" = ("creator_id"))), CONSTRAINT "order_amount" CHECK (("amount" = ("list_amount" - "discount") AND "amount" >= 0 AND "discount" >= 0)), CONSTRAINT "order_rental" CHECK ((("kind" = 'buy' AND "rental_hours" IS NULL) OR ("kind" = 'rent' AND "rental_hours" IS NOT NULL))), CONSTRAINT "order_paid_has_date" CHECK ((NOT ("status" IN ('paid', 'refunded', 'dispute_lost')) OR "paid_at" IS NOT NULL)), CONSTRAINT "order_preorder_is_bought" CHECK (("available_from" IS NULL OR "kind" = 'buy')));

CREATE TABLE "payments_payment" ("id" char(32) NOT NULL PRIMARY KEY, "gateway" varchar(20) NOT NULL, "external_id" varchar(120) NOT NULL, "amount" bigint NOT NULL, "currency" varchar(3) NOT NULL, "captured" bigint NOT NULL, "captured_at" datetime NULL, "status" varchar(16) NOT NULL, "disposition" varchar(12) NOT NULL, "entries_booked" integer unsigned NOT NULL CHECK ("entries_booked" >= 0), "created_at" datetime NOT NULL, "invoice_id" char(32) NULL REFERENCES "payments_invoice" ("id") DEFERRABLE INITIALLY DEFERRED, "order_id" char(32) NULL REFERENCES "payments_order" ("id") DEFERRABLE INITIALLY DEFERRED, "available_on" datetime NULL, "fee" bigint NOT NULL, "recognised" bigint NOT NULL, CONSTRAINT "payment_once" UNIQUE ("gateway", "external_id"), CONSTRAINT "payment_captured" CHECK (("captured" >= 0 AND "captured" <= ("amount"))), CONSTRAINT "payment_for_one_thing" CHECK (("order_id" IS NULL OR "invoice_id" IS NULL)), CONSTRAINT "payment_fee" CHECK ("fee" >= 0), CONSTRAINT "payment_recognised" CHECK (("recognised" >= 0 AND "recognised" <= ("captured"))));

CREATE TABLE "payments_payout" ("id" char(32) NOT NULL PRIMARY KEY, "currency" varchar(3) NOT NULL, "amount" bigint NOT NULL, "status" varchar(12) NOT NULL, "cutoff" datetime NOT NULL, "external_ref" varchar(120) NOT NULL, "failure" varchar(200) NOT NULL, "created_at" datetime NOT NULL, "approved_at" datetime NULL, "settled_at" datetime NULL, "approved_by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "creator_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "requested_by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "return_ref" varchar(120) NOT NULL, "returned_at" datetime NULL, CONSTRAINT "payout_positive" CHECK ("amount" > 0), CONSTRAINT "payout_two_people" CHECK (("approved_by_id" IS NULL OR "requested_by_id" IS NULL OR NOT ("approved_by_id" = ("requested_by_id") AND "approved_by_id" IS NOT NULL AND "requested_by_id" IS NOT NULL))), CONSTRAINT "payout_returned_has_date" CHECK ((("returned_at" IS NOT NULL AND "status" = 'returned') OR (NOT ("status" = 'returned') AND "returned_at" IS NULL))));

CREATE TABLE "payments_plan" ("id" char(32) NOT NULL PRIMARY KEY, "code" varchar(40) NOT NULL UNIQUE, "name" varchar(80) NOT NULL, "amount" bigint NOT NULL, "currency" varchar(3) NOT NULL, "interval" varchar(8) NOT NULL, "is_active" bool NOT NULL, "created_at" datetime NOT NULL, "gateway_refs" text NOT NULL CHECK ((JSON_VALID("gateway_refs") OR "gateway_refs" IS NULL)), "trial_days" smallint unsigned NOT NULL CHECK ("trial_days" >= 0), "max_streams" smallint unsigned NULL CHECK ("max_streams" >= 0), CONSTRAINT "plan_positive" CHECK ("amount" > 0));

CREATE TABLE "payments_pool" ("id" char(32) NOT NULL PRIMARY KEY, "period" varchar(7) NOT NULL, "currency" varchar(3) NOT NULL, "balance" bigint NOT NULL, "amount" bigint NOT NULL, "total_seconds" bigint NOT NULL, "algorithm" varchar(20) NOT NULL, "input_sha256" varchar(64) NOT NULL, "closed_at" datetime NOT NULL, "closed_by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "status" varchar(7) NOT NULL, "payers" varchar(10) NOT NULL, CONSTRAINT "pool_once" UNIQUE ("period", "currency"), CONSTRAINT "pool_amount" CHECK ("amount" >= 0));

CREATE TABLE "payments_poolshare" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "seconds" bigint NOT NULL, "amount" bigint NOT NULL, "creator_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "pool_id" char(32) NOT NULL REFERENCES "payments_pool" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "pool_share_once" UNIQUE ("pool_id", "creator_id"), CONSTRAINT "pool_share_positive" CHECK (("amount" >= 0 AND "seconds" >= 0)));

CREATE TABLE "payments_reconciliation" ("gateway" varchar(20) NOT NULL PRIMARY KEY, "complete_until" datetime NOT NULL);

CREATE TABLE "payments_refund" ("id" char(32) NOT NULL PRIMARY KEY, "external_id" varchar(120) NULL, "amount" bigint NOT NULL, "status" varchar(12) NOT NULL, "reason" varchar(200) NOT NULL, "created_at" datetime NOT NULL, "by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "payment_id" char(32) NOT NULL REFERENCES "payments_payment" ("id") DEFERRABLE INITIALLY DEFERRED, "counted_at" datetime NULL, "is_automatic" bool NOT NULL, "request_key" varchar(255) NOT NULL, CONSTRAINT "refund_once" UNIQUE ("payment_id", "external_id"), CONSTRAINT "refund_positive" CHECK ("amount" > 0));

CREATE TABLE "payments_sandboxcheckout" ("id" varchar(60) NOT NULL PRIMARY KEY, "idempotency_key" varchar(120) NOT NULL UNIQUE, "reference" varchar(60) NOT NULL, "title" varchar(300) NOT NULL, "amount" bigint NOT NULL, "currency" varchar(3) NOT NULL, "plan" text NULL CHECK ((JSON_VALID("plan") OR "plan" IS NULL)), "return_url" varchar(2000) NOT NULL, "status" varchar(10) NOT NULL, "attempts" integer unsigned NOT NULL CHECK ("attempts" >= 0), "expires_at" datetime NOT NULL, "created_at" datetime NOT NULL, "payment_id" varchar(60) NULL REFERENCES "payments_sandboxpayment" ("id") DEFERRABLE INITIALLY DEFERRED, "subscription_id" varchar(60) NULL REFERENCES "payments_sandboxsubscription" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "payments_sandboxclock" ("id" smallint unsigned NOT NULL PRIMARY KEY CHECK ("id" >= 0), "ahead" bigint NOT NULL, CONSTRAINT "sandbox_one_clock" CHECK ("id" = 1), CONSTRAINT "sandbox_never_back" CHECK ("ahead" >= 0));

CREATE TABLE "payments_sandboxdispute" ("id" varchar(60) NOT NULL PRIMARY KEY, "amount" bigint NOT NULL, "withdrawn" bigint NOT NULL, "reinstated" bigint NOT NULL, "fee" bigint NOT NULL, "status" varchar(16) NOT NULL, "reason" varchar(60) NOT NULL, "evidence_due" datetime NULL, "payment_id" varchar(60) NOT NULL REFERENCES "payments_sandboxpayment" ("id") DEFERRABLE INITIALLY DEFERRED, "evidence" text NULL CHECK ((JSON_VALID("evidence") OR "evidence" IS NULL)), CONSTRAINT "sandbox_dispute_amounts" CHECK ("reinstated" <= ("withdrawn")));

CREATE TABLE "payments_sandboxevent" ("id" varchar(60) NOT NULL PRIMARY KEY, "type" varchar(80) NOT NULL, "kind" varchar(20) NOT NULL, "object_id" varchar(60) NOT NULL, "created_at" datetime NOT NULL, "attempts" integer unsigned NOT NULL CHECK ("attempts" >= 0), "next_attempt_at" datetime NULL, "delivered_at" datetime NULL);

CREATE TABLE "payments_sandboxinvoice" ("id" varchar(60) NOT NULL PRIMARY KEY, "period_start" datetime NOT NULL, "period_end" datetime NOT NULL, "amount" bigint NOT NULL, "currency" varchar(3) NOT NULL, "status" varchar(16) NOT NULL, "attempts" integer unsigned NOT NULL CHECK ("attempts" >= 0), "next_attempt_at" datetime NULL, "subscription_id" varchar(60) NOT NULL REFERENCES "payments_sandboxsubscription" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "sandbox_period_once" UNIQUE ("subscription_id", "period_start"));

CREATE TABLE "payments_sandboxpayment" ("id" varchar(60) NOT NULL PRIMARY KEY, "idempotency_key" varchar(120) NOT NULL UNIQUE, "amount" bigint NOT NULL, "currency" varchar(3) NOT NULL, "payment_method" varchar(60) NOT NULL, "decline_code" varchar(60) NOT NULL, "captured" bigint NOT NULL, "created_at" datetime NOT NULL, "changed_at" datetime NOT NULL, "fee" bigint NOT NULL, "reference" varchar(60) NOT NULL, "status" varchar(16) NOT NULL, "invoice_id" varchar(60) NULL REFERENCES "payments_sandboxinvoice" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "sandbox_amount" CHECK (("amount" > 0 AND "captured" <= ("amount"))));

CREATE TABLE "payments_sandboxrefund" ("id" varchar(60) NOT NULL PRIMARY KEY, "idempotency_key" varchar(120) NOT NULL UNIQUE, "amount" bigint NOT NULL, "created_at" datetime NOT NULL, "payment_id" varchar(60) NOT NULL REFERENCES "payments_sandboxpayment" ("id") DEFERRABLE INITIALLY DEFERRED, "status" varchar(12) NOT NULL, CONSTRAINT "sandbox_refund_positive" CHECK ("amount" > 0));

CREATE TABLE "payments_sandboxsubscription" ("id" varchar(60) NOT NULL PRIMARY KEY, "idempotency_key" varchar(120) NOT NULL UNIQUE, "reference" varchar(60) NOT NULL, "plan_code" varchar(40) NOT NULL, "amount" bigint NOT NULL, "currency" varchar(3) NOT NULL, "interval" varchar(8) NOT NULL, "next_plan" text NULL CHECK ((JSON_VALID("next_plan") OR "next_plan" IS NULL)), "payment_method" varchar(60) NOT NULL, "status" varchar(20) NOT NULL, "anchor" datetime NOT NULL, "period_start" datetime NOT NULL, "period_end" datetime NOT NULL, "cancel_at_period_end" bool NOT NULL, "ended_at" datetime NULL, "created_at" datetime NOT NULL, "changed_at" datetime NOT NULL);

CREATE TABLE "payments_statement" ("id" char(32) NOT NULL PRIMARY KEY, "period" varchar(7) NOT NULL, "currency" varchar(3) NOT NULL, "body" text NOT NULL, "sha256" varchar(64) NOT NULL, "created_at" datetime NOT NULL, "creator_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "statement_once" UNIQUE ("creator_id", "period", "currency"));

CREATE TABLE "payments_subscription" ("id" char(32) NOT NULL PRIMARY KEY, "gateway" varchar(20) NOT NULL, "status" varchar(20) NOT NULL, "attempt" integer unsigned NOT NULL CHECK ("attempt" >= 0), "period_start" datetime NULL, "period_end" datetime NULL, "cancel_at_period_end" bool NOT NULL, "ended_at" datetime NULL, "created_at" datetime NOT NULL, "plan_id" char(32) NOT NULL REFERENCES "payments_plan" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "applied_ticket" bigint unsigned NOT NULL CHECK ("applied_ticket" >= 0), "checkout_closed" bool NOT NULL, "checkout_id" varchar(120) NULL UNIQUE, "checkout_url" varchar(2000) NOT NULL, "closed_at_gateway" bool NOT NULL, "disposition" varchar(10) NOT NULL, "external_id" varchar(120) NULL, "grace_until" datetime NULL, "next_plan_id" char(32) NULL REFERENCES "payments_plan" ("id") DEFERRABLE INITIALLY DEFERRED, "past_due_since" datetime NULL, "sync_ticket" bigint unsigned NOT NULL CHECK ("sync_ticket" >= 0), "changing_by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "must_not_renew" bool NOT NULL, CONSTRAINT "subscription_period" CHECK (("period_end" IS NULL OR "period_end" > ("period_start"))), CONSTRAINT "subscription_active_has_period" CHECK ((NOT ("status" = 'active') OR "period_end" IS NOT NULL)), CONSTRAINT "subscription_once" UNIQUE ("gateway", "external_id"), CONSTRAINT "subscription_past_due_has_grace" CHECK ((NOT ("status" = 'past_due') OR "grace_until" IS NOT NULL)));

CREATE TABLE "payments_transfer" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "amount" bigint NOT NULL, "currency" varchar(3) NOT NULL, "credit_id" bigint NOT NULL REFERENCES "payments_ledgeraccount" ("id") DEFERRABLE INITIALLY DEFERRED, "debit_id" bigint NOT NULL REFERENCES "payments_ledgeraccount" ("id") DEFERRABLE INITIALLY DEFERRED, "entry_id" char(32) NOT NULL REFERENCES "payments_journalentry" ("id") DEFERRABLE INITIALLY DEFERRED, "available_on" datetime NULL, CONSTRAINT "transfer_positive" CHECK ("amount" > 0), CONSTRAINT "transfer_moves" CHECK (NOT ("debit_id" = ("credit_id"))));

CREATE TABLE "payments_watchdaily" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "day" date NOT NULL, "seconds" integer unsigned NOT NULL CHECK ("seconds" >= 0), "plan_seconds" integer unsigned NOT NULL CHECK ("plan_seconds" >= 0), "creator_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "video_id" char(32) NOT NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "watched_once_a_day" UNIQUE ("user_id", "video_id", "day"), CONSTRAINT "watched_a_day_at_most" CHECK (("plan_seconds" <= 86400 AND "seconds" <= 86400)));

CREATE TABLE "payments_webhookevent" ("id" char(32) NOT NULL PRIMARY KEY, "gateway" varchar(20) NOT NULL, "external_id" varchar(120) NOT NULL, "type" varchar(80) NOT NULL, "kind" varchar(20) NOT NULL, "object_id" varchar(120) NOT NULL, "api_version" varchar(40) NOT NULL, "status" varchar(10) NOT NULL, "attempts" integer unsigned NOT NULL CHECK ("attempts" >= 0), "error" varchar(500) NOT NULL, "received_at" datetime NOT NULL, "processed_at" datetime NULL, CONSTRAINT "webhook_event_once" UNIQUE ("gateway", "external_id"));

CREATE TABLE "streaming_playbacksession" ("id" char(32) NOT NULL PRIMARY KEY, "version" varchar(32) NOT NULL, "access" varchar(12) NOT NULL, "viewer_key" varchar(64) NOT NULL, "user_agent" varchar(500) NOT NULL, "network" char(39) NULL, "created_at" datetime NOT NULL, "expires_at" datetime NOT NULL, "last_seen_at" datetime NOT NULL, "ended_at" datetime NULL, "end_reason" varchar(12) NOT NULL, "state" varchar(10) NOT NULL, "position_seconds" real NOT NULL, "watched" text NOT NULL CHECK ((JSON_VALID("watched") OR "watched" IS NULL)), "watched_seconds" real NOT NULL, "rejected_seconds" real NOT NULL, "last_heartbeat_at" datetime NULL, "rebuffer_ms" bigint unsigned NOT NULL CHECK ("rebuffer_ms" >= 0), "startup_ms" bigint unsigned NULL CHECK ("startup_ms" >= 0), "entitlement_id" char(32) NULL REFERENCES "payments_entitlement" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "video_id" char(32) NOT NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, "folded_seconds" integer unsigned NOT NULL CHECK ("folded_seconds" >= 0), "counted_seconds" real NOT NULL, "delivered" BLOB NOT NULL, "delivered_seconds" integer unsigned NOT NULL CHECK ("delivered_seconds" >= 0), "network_key" varchar(40) NOT NULL, "moments" text NOT NULL CHECK ((JSON_VALID("moments") OR "moments" IS NULL)), "placed_until" bigint NOT NULL, "begun" BLOB NOT NULL, "segment_seconds" real NOT NULL, CONSTRAINT "session_end_has_reason" CHECK ((("end_reason" = '' AND "ended_at" IS NULL) OR ("ended_at" IS NOT NULL AND NOT ("end_reason" = '')))));

CREATE TABLE "streaming_watchclock" ("user_id" char(32) NOT NULL PRIMARY KEY REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "taken" text NOT NULL CHECK ((JSON_VALID("taken") OR "taken" IS NULL)));

CREATE TABLE "videos_appeal" ("id" char(32) NOT NULL PRIMARY KEY, "status" varchar(10) NOT NULL, "detail" text NOT NULL, "answer" text NOT NULL, "created_at" datetime NOT NULL, "decided_at" datetime NULL, "decided_by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "case_id" char(32) NOT NULL REFERENCES "videos_moderationcase" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "videos_caption" ("id" char(32) NOT NULL PRIMARY KEY, "language" varchar(60) NOT NULL, "label" varchar(80) NOT NULL, "kind" varchar(10) NOT NULL, "is_forced" bool NOT NULL, "is_sdh" bool NOT NULL, "is_default" bool NOT NULL, "is_automatic" bool NOT NULL, "origin" varchar(10) NOT NULL, "text" text NOT NULL, "cues" integer unsigned NOT NULL CHECK ("cues" >= 0), "created_at" datetime NOT NULL, "updated_at" datetime NOT NULL, "video_id" char(32) NOT NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "videos_captionword" ("word" varchar(40) NOT NULL, "caption_id" char(32) NOT NULL REFERENCES "videos_caption" ("id") DEFERRABLE INITIALLY DEFERRED, PRIMARY KEY ("word", "caption_id"));

CREATE TABLE "videos_chunk" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "number" integer unsigned NOT NULL CHECK ("number" >= 0), "plan" varchar(64) NOT NULL, "first_frame" integer unsigned NOT NULL CHECK ("first_frame" >= 0), "frames" integer unsigned NOT NULL CHECK ("frames" >= 0), "state" varchar(10) NOT NULL, "worker" varchar(120) NOT NULL, "fence" integer unsigned NOT NULL CHECK ("fence" >= 0), "attempt" integer unsigned NOT NULL CHECK ("attempt" >= 0), "percent" smallint unsigned NOT NULL CHECK ("percent" >= 0), "made" text NOT NULL CHECK ((JSON_VALID("made") OR "made" IS NULL)), "finished_at" datetime NULL, "job_id" char(32) NOT NULL REFERENCES "videos_processingjob" ("id") DEFERRABLE INITIALLY DEFERRED, "due_at" datetime DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')) NOT NULL, CONSTRAINT "chunk_once" UNIQUE ("job_id", "number"));

CREATE TABLE "videos_moderationcase" ("id" char(32) NOT NULL PRIMARY KEY, "status" varchar(12) NOT NULL, "reason" varchar(12) NOT NULL, "note" text NOT NULL, "opened_at" datetime NOT NULL, "decided_at" datetime NULL, "restored_at" datetime NULL, "decided_by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "video_id" char(32) NOT NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "case_decision_is_whole" CHECK ((("decided_at" IS NULL AND "decided_by_id" IS NULL AND "status" = 'open') OR (NOT ("status" = 'open') AND "decided_at" IS NOT NULL))));

CREATE TABLE "videos_period" ("every" varchar(10) NOT NULL PRIMARY KEY, "due_at" datetime NOT NULL, "beat" varchar(120) NOT NULL);

CREATE TABLE "videos_presentation" ("video_id" char(32) NOT NULL PRIMARY KEY REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, "changed" integer unsigned NOT NULL CHECK ("changed" >= 0), "written" integer unsigned NOT NULL CHECK ("written" >= 0), "source" varchar(200) NOT NULL, "taken_from" varchar(200) NOT NULL, "chapters_are_own" bool NOT NULL);

CREATE TABLE "videos_processingjob" ("id" char(32) NOT NULL PRIMARY KEY, "key" varchar(120) NOT NULL UNIQUE, "kind" varchar(20) NOT NULL, "source_path" varchar(200) NOT NULL, "state" varchar(10) NOT NULL, "attempt" integer unsigned NOT NULL CHECK ("attempt" >= 0), "strikes" integer unsigned NOT NULL CHECK ("strikes" >= 0), "max_attempts" integer unsigned NOT NULL CHECK ("max_attempts" >= 0), "fence" integer unsigned NOT NULL CHECK ("fence" >= 0), "worker" varchar(120) NOT NULL, "lease_until" datetime NULL, "step" varchar(20) NOT NULL, "percent" smallint unsigned NOT NULL CHECK ("percent" >= 0), "error_code" varchar(40) NOT NULL, "error_detail" varchar(500) NOT NULL, "created_at" datetime NOT NULL, "started_at" datetime NULL, "finished_at" datetime NULL, "video_id" char(32) NOT NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, "last_line" varchar(200) NOT NULL, "stage" smallint unsigned NOT NULL CHECK ("stage" >= 0), "creator_id" char(32) NOT NULL, "dispatched_at" datetime NULL, "url" varchar(2000) NOT NULL, "not_before" datetime DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')) NOT NULL, CONSTRAINT "job_percent" CHECK ("percent" <= 100), CONSTRAINT "job_running_has_lease" CHECK ((NOT ("state" = 'running') OR "lease_until" IS NOT NULL)));

CREATE TABLE "videos_report" ("id" char(32) NOT NULL PRIMARY KEY, "reason" varchar(12) NOT NULL, "detail" text NOT NULL, "created_at" datetime NOT NULL, "case_id" char(32) NOT NULL REFERENCES "videos_moderationcase" ("id") DEFERRABLE INITIALLY DEFERRED, "reporter_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "report_once_per_person" UNIQUE ("case_id", "reporter_id"));

CREATE TABLE "videos_suspension" ("id" char(32) NOT NULL PRIMARY KEY, "reason" varchar(12) NOT NULL, "note" text NOT NULL, "created_at" datetime NOT NULL, "lifted_at" datetime NULL, "created_by_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "creator_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "lifted_by_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "videos_tag" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(40) NOT NULL UNIQUE);

CREATE TABLE "videos_upload" ("id" char(32) NOT NULL PRIMARY KEY, "kind" varchar(8) NOT NULL, "state" varchar(8) NOT NULL, "length" bigint NULL, "offset" bigint NOT NULL, "metadata" text NOT NULL, "concat" text NOT NULL, "filename" varchar(255) NOT NULL, "title" varchar(200) NOT NULL, "video_id" char(32) NULL, "makes_video" bool NOT NULL, "position" smallint unsigned NOT NULL CHECK ("position" >= 0), "error_code" varchar(40) NOT NULL, "error_detail" varchar(500) NOT NULL, "created_at" datetime NOT NULL, "expires_at" datetime NOT NULL, "ended_at" datetime NULL, "user_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "multipart_id" text NOT NULL, "object_name" varchar(255) NOT NULL, "part_size" bigint NULL, "parts_etag" varchar(80) NOT NULL, "joined_id" char(32) NULL REFERENCES "videos_upload" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "upload_offset_within_length" CHECK (("offset" >= 0 AND ("length" IS NULL OR "length" >= ("offset")))), CONSTRAINT "upload_part_has_no_video" CHECK ((("kind" = 'part' AND "video_id" IS NULL) OR (NOT ("kind" = 'part') AND NOT ("video_id" IS NULL)))), CONSTRAINT "upload_ended_at" CHECK ((("ended_at" IS NULL AND "state" = 'open') OR (NOT ("state" = 'open') AND NOT ("ended_at" IS NULL)))), CONSTRAINT "upload_direct_has_object" CHECK ((("kind" = 'direct' AND NOT ("object_name" = '') AND "part_size" > 0) OR (NOT ("kind" = 'direct') AND "object_name" = '' AND "part_size" IS NULL))));

CREATE TABLE "videos_video" ("id" char(32) NOT NULL PRIMARY KEY, "title" varchar(200) NOT NULL, "description" text NOT NULL, "category" varchar(60) NOT NULL, "status" varchar(12) NOT NULL, "visibility" varchar(10) NOT NULL, "is_paid" bool NOT NULL, "price" bigint NOT NULL, "currency" varchar(3) NOT NULL, "source_path" varchar(200) NOT NULL, "source_filename" varchar(255) NOT NULL, "source_size" bigint NULL, "source_checksum" varchar(80) NOT NULL, "source_container" varchar(80) NOT NULL, "source_video_codec" varchar(40) NOT NULL, "source_audio_codec" varchar(40) NOT NULL, "current_version" varchar(32) NOT NULL, "duration_seconds" real NULL, "width" integer unsigned NULL CHECK ("width" >= 0), "height" integer unsigned NULL CHECK ("height" >= 0), "renditions" text NOT NULL CHECK ((JSON_VALID("renditions") OR "renditions" IS NULL)), "views" bigint unsigned NOT NULL CHECK ("views" >= 0), "likes" bigint unsigned NOT NULL CHECK ("likes" >= 0), "dislikes" bigint unsigned NOT NULL CHECK ("dislikes" >= 0), "created_at" datetime NOT NULL, "published_at" datetime NULL, "deleted_at" datetime NULL, "creator_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED, "job_id" char(32) NULL REFERENCES "videos_processingjob" ("id") DEFERRABLE INITIALLY DEFERRED, "rental_hours" integer unsigned NULL CHECK ("rental_hours" >= 0), "rental_price" bigint NULL, "completeness" varchar(8) NOT NULL, "purged_at" datetime NULL, "segment_seconds" real NOT NULL, "audio_tracks" text NOT NULL CHECK ((JSON_VALID("audio_tracks") OR "audio_tracks" IS NULL)), "chapters" text NOT NULL CHECK ((JSON_VALID("chapters") OR "chapters" IS NULL)), "has_storyboard" bool NOT NULL, "poster_tag" varchar(32) NOT NULL, "source_notes" text NOT NULL CHECK ((JSON_VALID("source_notes") OR "source_notes" IS NULL)), "taken_down_at" datetime NULL, "embed_domains" text NOT NULL CHECK ((JSON_VALID("embed_domains") OR "embed_domains" IS NULL)), "preview_seconds" integer unsigned NULL CHECK ("preview_seconds" >= 0), "switched_at" datetime NULL, "allowed_countries" text NOT NULL CHECK ((JSON_VALID("allowed_countries") OR "allowed_countries" IS NULL)), "available_until" datetime NULL, "is_preorder" bool NOT NULL, "publish_at" datetime NULL, "refused_countries" text NOT NULL CHECK ((JSON_VALID("refused_countries") OR "refused_countries" IS NULL)), "trailer_id" char(32) NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "video_price_matches_is_paid" CHECK ((("is_paid" AND "price" > 0 AND "price" <= 1000000000000) OR (NOT "is_paid" AND "price" = 0))), CONSTRAINT "video_playable_is_published" CHECK (("current_version" = '' OR "published_at" IS NOT NULL)), CONSTRAINT "video_created_has_no_file" CHECK ((("source_path" = '' AND "status" = 'CREATED') OR (NOT ("status" = 'CREATED') AND NOT ("source_path" = '')))), CONSTRAINT "video_rental_is_whole" CHECK ((("rental_hours" IS NULL AND "rental_price" IS NULL) OR ("is_paid" AND "rental_hours" > 0 AND "rental_hours" IS NOT NULL AND "rental_price" > 0 AND "rental_price" IS NOT NULL AND "rental_price" <= 1000000000000))), CONSTRAINT "video_ready_is_playable" CHECK ((NOT ("status" = 'READY') OR (NOT ("current_version" = '') AND "completeness" = 'full'))), CONSTRAINT "video_preview_is_of_paid" CHECK (("preview_seconds" IS NULL OR ("is_paid" AND "preview_seconds" > 0))), CONSTRAINT "video_is_not_its_trailer" CHECK (("trailer_id" IS NULL OR NOT ("trailer_id" = ("id") AND "trailer_id" IS NOT NULL))));

CREATE TABLE "videos_video_tags" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "video_id" char(32) NOT NULL REFERENCES "videos_video" ("id") DEFERRABLE INITIALLY DEFERRED, "tag_id" bigint NOT NULL REFERENCES "videos_tag" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "videos_workerpresence" ("name" varchar(120) NOT NULL PRIMARY KEY, "started_at" datetime NOT NULL, "seen_at" datetime NOT NULL);

CREATE TABLE "webhooks_delivery" ("id" char(32) NOT NULL PRIMARY KEY, "about" varchar(80) NOT NULL, "status" varchar(10) NOT NULL, "attempts" integer unsigned NOT NULL CHECK ("attempts" >= 0), "created_at" datetime NOT NULL, "due_since" datetime NOT NULL, "not_before" datetime DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')) NOT NULL, "attempted_at" datetime NULL, "finished_at" datetime NULL, "answer_status" smallint unsigned NULL CHECK ("answer_status" >= 0), "answer_excerpt" varchar(500) NOT NULL, "duration_ms" integer unsigned NULL CHECK ("duration_ms" >= 0), "failure" varchar(200) NOT NULL, "endpoint_id" char(32) NOT NULL REFERENCES "webhooks_endpoint" ("id") DEFERRABLE INITIALLY DEFERRED, "event_id" bigint NOT NULL REFERENCES "webhooks_event" ("number") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "delivery_once" UNIQUE ("endpoint_id", "event_id"), CONSTRAINT "delivery_finished_has_time" CHECK ((("finished_at" IS NULL AND "status" = 'waiting') OR (NOT ("status" = 'waiting') AND "finished_at" IS NOT NULL))));

CREATE TABLE "webhooks_endpoint" ("id" char(32) NOT NULL PRIMARY KEY, "url" varchar(2000) NOT NULL, "description" varchar(200) NOT NULL, "event_types" text NOT NULL CHECK ((JSON_VALID("event_types") OR "event_types" IS NULL)), "secret" varchar(100) NOT NULL, "previous_secret" varchar(100) NOT NULL, "previous_until" datetime NULL, "created_at" datetime NOT NULL, "disabled_at" datetime NULL, "disabled_reason" varchar(200) NOT NULL, "deleted_at" datetime NULL, "failures" integer unsigned NOT NULL CHECK ("failures" >= 0), "failing_since" datetime NULL, "not_before" datetime DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')) NOT NULL, "owner_id" char(32) NOT NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE "webhooks_event" ("number" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "key" varchar(150) NOT NULL UNIQUE, "type" varchar(40) NOT NULL, "about" varchar(80) NOT NULL, "body" text NOT NULL, "created_at" datetime NOT NULL, "subject_id" char(32) NULL REFERENCES "accounts_user" ("id") DEFERRABLE INITIALLY DEFERRED);

CREATE INDEX "accounts_apikey_user_id_bd902026" ON "accounts_apikey" ("user_id");

CREATE INDEX "key_by_end" ON "accounts_apikey" ("revoked_at");

CREATE INDEX "key_by_expiry" ON "accounts_apikey" ("expires_at");

CREATE INDEX "key_live" ON "accounts_apikey" ("user_id") WHERE "revoked_at" IS NULL;

CREATE INDEX "accounts_erasure_asked_by_id_7e714c99" ON "accounts_erasure" ("asked_by_id");

CREATE INDEX "erasure_waiting" ON "accounts_erasure" ("not_before") WHERE "finished_at" IS NULL;

CREATE INDEX "accounts_mailedlink_user_id_6154414a" ON "accounts_mailedlink" ("user_id");

CREATE INDEX "link_by_address" ON "accounts_mailedlink" ("email", "mailed_at");

CREATE INDEX "link_by_end" ON "accounts_mailedlink" ("expires_at");

CREATE INDEX "link_live" ON "accounts_mailedlink" ("user_id") WHERE "ended_at" IS NULL;

CREATE INDEX "link_waiting" ON "accounts_mailedlink" ("id") WHERE "mailed_at" IS NULL;

CREATE INDEX "accounts_provideridentity_user_id_546f07d5" ON "accounts_provideridentity" ("user_id");

CREATE INDEX "accounts_recoverycode_totp_id_1fff0cc7" ON "accounts_recoverycode" ("totp_id");

CREATE INDEX "accounts_refreshfamily_user_id_b764599d" ON "accounts_refreshfamily" ("user_id");

CREATE INDEX "family_by_end" ON "accounts_refreshfamily" ("expires_at");

CREATE INDEX "family_live" ON "accounts_refreshfamily" ("user_id") WHERE "revoked_at" IS NULL;

CREATE INDEX "accounts_signincode_user_id_6dc99728" ON "accounts_signincode" ("user_id");

CREATE INDEX "code_by_end" ON "accounts_signincode" ("expires_at");

CREATE INDEX "totp_begun" ON "accounts_totp" ("begun_at") WHERE "confirmed_at" IS NULL;

CREATE INDEX "accounts_user_role_id_a6dd19b0" ON "accounts_user" ("role_id");

CREATE INDEX "user_newest" ON "accounts_user" ("created_at" DESC, "id" DESC);

CREATE INDEX "accounts_user_groups_group_id_bd11a704" ON "accounts_user_groups" ("group_id");

CREATE INDEX "accounts_user_groups_user_id_52b62117" ON "accounts_user_groups" ("user_id");

CREATE UNIQUE INDEX "accounts_user_groups_user_id_group_id_59c0b32f_uniq" ON "accounts_user_groups" ("user_id", "group_id");

CREATE INDEX "accounts_user_user_permissions_permission_id_113bb443" ON "accounts_user_user_permissions" ("permission_id");

CREATE INDEX "accounts_user_user_permissions_user_id_e4f0a161" ON "accounts_user_user_permissions" ("user_id");

CREATE UNIQUE INDEX "accounts_user_user_permissions_user_id_permission_id_2ab516c2_uniq" ON "accounts_user_user_permissions" ("user_id", "permission_id");

CREATE INDEX "analytics_reaction_user_id_5f6ae764" ON "analytics_reaction" ("user_id");

CREATE INDEX "analytics_reaction_video_id_3ddfa88b" ON "analytics_reaction" ("video_id");

CREATE INDEX "reaction_of_video" ON "analytics_reaction" ("video_id", "at");

CREATE INDEX "rollup_of_creators_video" ON "analytics_rollup" ("creator", "day") WHERE "creator" IS NOT NULL;

CREATE INDEX "rollup_of_day" ON "analytics_rollup" ("day", "kind");

CREATE INDEX "rollup_month_of" ON "analytics_rollupmonth" ("creator", "kind", "month");

CREATE INDEX "analytics_videoview_creator_id_556e11a3" ON "analytics_videoview" ("creator_id");

CREATE INDEX "analytics_videoview_video_id_1580c8f9" ON "analytics_videoview" ("video_id");

CREATE INDEX "view_at" ON "analytics_videoview" ("at");

CREATE INDEX "view_of_creator" ON "analytics_videoview" ("creator_id", "at");

CREATE INDEX "view_of_network" ON "analytics_videoview" ("video_id", "network_key");

CREATE INDEX "view_of_video" ON "analytics_videoview" ("video_id", "at");

CREATE INDEX "view_of_viewer" ON "analytics_videoview" ("video_id", "viewer_key", "at" DESC);

CREATE INDEX "api_request_by_caller" ON "audit_apirequest" ("caller_id", "number", "status", "method");

CREATE INDEX "api_request_by_method" ON "audit_apirequest" ("method", "number", "status");

CREATE INDEX "api_request_by_status" ON "audit_apirequest" ("status", "number", "method");

CREATE INDEX "audit_checkpoint_order" ON "audit_auditcheckpoint" ("position", "at");

CREATE INDEX "audit_checkpoint_pruned" ON "audit_auditcheckpoint" ("begins_at") WHERE "reason" = 'prune';

CREATE INDEX "audit_checkpoint_restarts" ON "audit_auditcheckpoint" ("id") WHERE "reason" = 'restart';

CREATE INDEX "audit_by_action" ON "audit_auditentry" ("action", "at" DESC, "method", "status");

CREATE INDEX "audit_by_actor" ON "audit_auditentry" ("actor_id", "at" DESC, "ip", "action", "method", "status", "target_type");

CREATE INDEX "audit_by_ip" ON "audit_auditentry" ("ip", "at" DESC, "action", "method", "status", "target_type");

CREATE INDEX "audit_by_method" ON "audit_auditentry" ("method", "at" DESC);

CREATE INDEX "audit_by_request" ON "audit_auditentry" ("request_id", "at" DESC);

CREATE INDEX "audit_by_status" ON "audit_auditentry" ("status", "at" DESC, "method") WHERE "status" IS NOT NULL;

CREATE INDEX "audit_by_target" ON "audit_auditentry" ("target_id", "at" DESC);

CREATE INDEX "audit_by_type" ON "audit_auditentry" ("target_type", "at" DESC, "action", "method", "status");

CREATE INDEX "audit_newest" ON "audit_auditentry" ("at" DESC, "id" DESC);

CREATE INDEX "audit_position" ON "audit_auditentry" ("position");

CREATE INDEX "audit_unsealed" ON "audit_auditentry" ("id") WHERE "position" IS NULL;

CREATE INDEX "caller_by_actor" ON "audit_caller" ("actor_id", "day");

CREATE INDEX "caller_by_day" ON "audit_caller" ("day");

CREATE INDEX "caller_by_ip" ON "audit_caller" ("ip", "day");

CREATE INDEX "auth_group_permissions_group_id_b120cbf9" ON "auth_group_permissions" ("group_id");

CREATE UNIQUE INDEX "auth_group_permissions_group_id_permission_id_0cd325b0_uniq" ON "auth_group_permissions" ("group_id", "permission_id");

CREATE INDEX "auth_group_permissions_permission_id_84c5c92e" ON "auth_group_permissions" ("permission_id");

CREATE INDEX "auth_permission_content_type_id_2f476e4b" ON "auth_permission" ("content_type_id");

CREATE UNIQUE INDEX "auth_permission_content_type_id_codename_01ab375a_uniq" ON "auth_permission" ("content_type_id", "codename");

CREATE INDEX "django_admin_log_content_type_id_c4bce8eb" ON "django_admin_log" ("content_type_id");

CREATE INDEX "django_admin_log_user_id_c564eba6" ON "django_admin_log" ("user_id");

CREATE UNIQUE INDEX "django_content_type_app_label_model_76bd3d3b_uniq" ON "django_content_type" ("app_label", "model");

CREATE INDEX "django_session_expire_date_a5c62663" ON "django_session" ("expire_date");

CREATE INDEX "payments_conversion_payment_id_360cfdac" ON "payments_conversion" ("payment_id");

CREATE UNIQUE INDEX "coupon_code_once" ON "payments_coupon" ((UPPER("code")));

CREATE INDEX "payments_coupon_creator_id_acb674c1" ON "payments_coupon" ("creator_id");

CREATE INDEX "payments_couponredemption_coupon_id_a4e6b7a7" ON "payments_couponredemption" ("coupon_id");

CREATE INDEX "payments_couponredemption_user_id_1c78fbf5" ON "payments_couponredemption" ("user_id");

CREATE INDEX "redemption_of_user" ON "payments_couponredemption" ("coupon_id", "user_id");

CREATE INDEX "payments_dispute_payment_id_2344937c" ON "payments_dispute" ("payment_id");

CREATE INDEX "evidence_submitting" ON "payments_disputeevidence" ("changed_at") WHERE "status" = 'submitting';

CREATE INDEX "payments_disputeevidence_submitted_by_id_3720fd82" ON "payments_disputeevidence" ("submitted_by_id");

CREATE INDEX "entitlement_live" ON "payments_entitlement" ("user_id", "video_id") WHERE "revoked_at" IS NULL;

CREATE INDEX "entitlement_to_expire" ON "payments_entitlement" ("ends_at") WHERE ("expired_at" IS NULL AND "revoked_at" IS NULL);

CREATE INDEX "payments_entitlement_user_id_b9c16bd9" ON "payments_entitlement" ("user_id");

CREATE INDEX "payments_entitlement_video_id_81fecbdc" ON "payments_entitlement" ("video_id");

CREATE INDEX "payments_gatewaycustomer_user_id_c58baecb" ON "payments_gatewaycustomer" ("user_id");

CREATE INDEX "idempotency_old" ON "payments_idempotencyrecord" ("started_at");

CREATE INDEX "payments_idempotencyrecord_user_id_7c64f28e" ON "payments_idempotencyrecord" ("user_id");

CREATE INDEX "invoice_periods" ON "payments_invoice" ("currency", "period_start");

CREATE INDEX "payments_invoice_subscription_id_5079ed0c" ON "payments_invoice" ("subscription_id");

CREATE INDEX "entry_newest" ON "payments_journalentry" ("effective_at" DESC, "id" DESC);

CREATE INDEX "payments_journalentry_order_id_da3b5841" ON "payments_journalentry" ("order_id");

CREATE INDEX "payments_journalentry_payment_id_48f1d3cb" ON "payments_journalentry" ("payment_id");

CREATE INDEX "payments_journalentry_payout_id_cda0dca8" ON "payments_journalentry" ("payout_id");

CREATE INDEX "payments_journalentry_pool_id_327fd92f" ON "payments_journalentry" ("pool_id");

CREATE INDEX "account_of_owner" ON "payments_ledgeraccount" ("owner_id", "currency");

CREATE INDEX "account_of_role" ON "payments_ledgeraccount" ("role", "currency");

CREATE INDEX "payments_ledgeraccount_owner_id_c5e50f9f" ON "payments_ledgeraccount" ("owner_id");

CREATE INDEX "ledger_check_newest" ON "payments_ledgercheck" ("started_at" DESC);

CREATE INDEX "notice_waiting" ON "payments_notice" ("not_before") WHERE ("failed_at" IS NULL AND "sent_at" IS NULL);

CREATE INDEX "payments_notice_user_id_efe88f65" ON "payments_notice" ("user_id");

CREATE INDEX "order_by_buyer" ON "payments_order" ("buyer_id", "created_at" DESC, "id" DESC);

CREATE INDEX "order_checkout_open" ON "payments_order" ("status") WHERE (NOT "checkout_closed" AND "checkout_id" IS NOT NULL);

CREATE UNIQUE INDEX "order_live" ON "payments_order" ("buyer_id", "video_id") WHERE ("kind" = 'buy' AND "status" IN ('pending', 'processing', 'paid', 'disputed'));

CREATE INDEX "order_open" ON "payments_order" ("expires_at") WHERE "status" = 'pending';

CREATE INDEX "order_preorder" ON "payments_order" ("available_from") WHERE ("available_from" IS NOT NULL AND "fulfilled_at" IS NULL);

CREATE UNIQUE INDEX "order_rent_open" ON "payments_order" ("buyer_id", "video_id") WHERE ("kind" = 'rent' AND "status" IN ('pending', 'processing'));

CREATE INDEX "order_sales" ON "payments_order" ("creator_id", "paid_at");

CREATE INDEX "payments_order_buyer_id_5f94ded7" ON "payments_order" ("buyer_id");

CREATE INDEX "payments_order_coupon_id_27b0be00" ON "payments_order" ("coupon_id");

CREATE INDEX "payments_order_creator_id_51a9fcda" ON "payments_order" ("creator_id");

CREATE INDEX "payments_order_video_id_9e6b0ebb" ON "payments_order" ("video_id");

CREATE UNIQUE INDEX "payment_applied_to_order" ON "payments_payment" ("order_id") WHERE "disposition" = 'applied';

CREATE INDEX "payment_captured_at" ON "payments_payment" ("captured_at");

CREATE INDEX "payments_payment_invoice_id_a1a432c8" ON "payments_payment" ("invoice_id");

CREATE INDEX "payments_payment_order_id_22c479b7" ON "payments_payment" ("order_id");

CREATE INDEX "payments_payout_approved_by_id_e5a0bac0" ON "payments_payout" ("approved_by_id");

CREATE INDEX "payments_payout_creator_id_e4e77e80" ON "payments_payout" ("creator_id");

CREATE INDEX "payments_payout_requested_by_id_da2dc8f6" ON "payments_payout" ("requested_by_id");

CREATE UNIQUE INDEX "payout_in_flight" ON "payments_payout" ("creator_id", "currency") WHERE "status" IN ('draft', 'approved', 'processing');

CREATE INDEX "payout_of_creator" ON "payments_payout" ("creator_id", "created_at" DESC);

CREATE INDEX "payments_pool_closed_by_id_7b3418e8" ON "payments_pool" ("closed_by_id");

CREATE INDEX "payments_poolshare_creator_id_a3ef3919" ON "payments_poolshare" ("creator_id");

CREATE INDEX "payments_poolshare_pool_id_5b345bab" ON "payments_poolshare" ("pool_id");

CREATE INDEX "payments_refund_by_id_a0f7b46d" ON "payments_refund" ("by_id");

CREATE INDEX "payments_refund_payment_id_a70693f7" ON "payments_refund" ("payment_id");

CREATE INDEX "refund_unheard" ON "payments_refund" ("created_at") WHERE "status" = 'requested';

CREATE INDEX "payments_sandboxcheckout_payment_id_6f902c2f" ON "payments_sandboxcheckout" ("payment_id");

CREATE INDEX "payments_sandboxcheckout_subscription_id_fc1eaf9b" ON "payments_sandboxcheckout" ("subscription_id");

CREATE INDEX "payments_sandboxdispute_payment_id_27630ad5" ON "payments_sandboxdispute" ("payment_id");

CREATE INDEX "sandbox_event_due" ON "payments_sandboxevent" ("next_attempt_at") WHERE "next_attempt_at" IS NOT NULL;

CREATE INDEX "payments_sandboxinvoice_subscription_id_9626358c" ON "payments_sandboxinvoice" ("subscription_id");

CREATE INDEX "sandbox_dunning" ON "payments_sandboxinvoice" ("next_attempt_at") WHERE "next_attempt_at" IS NOT NULL;

CREATE INDEX "payments_sandboxpayment_invoice_id_ca6e0602" ON "payments_sandboxpayment" ("invoice_id");

CREATE INDEX "sandbox_payment_changed" ON "payments_sandboxpayment" ("changed_at");

CREATE INDEX "payments_sandboxrefund_payment_id_bfdaa0de" ON "payments_sandboxrefund" ("payment_id");

CREATE INDEX "sandbox_due" ON "payments_sandboxsubscription" ("period_end") WHERE "ended_at" IS NULL;

CREATE INDEX "sandbox_subs_changed" ON "payments_sandboxsubscription" ("changed_at");

CREATE INDEX "payments_statement_creator_id_ae2982dc" ON "payments_statement" ("creator_id");

CREATE INDEX "payments_subscription_changing_by_id_60ef054d" ON "payments_subscription" ("changing_by_id");

CREATE INDEX "payments_subscription_next_plan_id_b25b6210" ON "payments_subscription" ("next_plan_id");

CREATE INDEX "payments_subscription_plan_id_973ba84d" ON "payments_subscription" ("plan_id");

CREATE INDEX "payments_subscription_user_id_1b2156fc" ON "payments_subscription" ("user_id");

CREATE UNIQUE INDEX "subscription_live" ON "payments_subscription" ("user_id") WHERE ("disposition" = 'primary' AND "status" IN ('incomplete', 'trialing', 'active', 'past_due', 'paused'));

CREATE INDEX "subscription_must_not_renew" ON "payments_subscription" ("status") WHERE "must_not_renew";

CREATE INDEX "subscription_running" ON "payments_subscription" ("period_end") WHERE "status" IN ('trialing', 'active', 'past_due');

CREATE INDEX "subscription_to_close" ON "payments_subscription" ("status") WHERE (NOT "closed_at_gateway" AND "external_id" IS NOT NULL);

CREATE INDEX "payments_transfer_credit_id_8f6dea41" ON "payments_transfer" ("credit_id");

CREATE INDEX "payments_transfer_debit_id_98d460e2" ON "payments_transfer" ("debit_id");

CREATE INDEX "payments_transfer_entry_id_b0e06eb7" ON "payments_transfer" ("entry_id");

CREATE INDEX "payments_watchdaily_creator_id_b422dd48" ON "payments_watchdaily" ("creator_id");

CREATE INDEX "payments_watchdaily_user_id_d5986aad" ON "payments_watchdaily" ("user_id");

CREATE INDEX "payments_watchdaily_video_id_802fed7d" ON "payments_watchdaily" ("video_id");

CREATE INDEX "watched_under_plan" ON "payments_watchdaily" ("day") WHERE "plan_seconds" > 0;

CREATE INDEX "webhook_event_newest" ON "payments_webhookevent" ("received_at" DESC, "id" DESC);

CREATE INDEX "webhook_event_waits" ON "payments_webhookevent" ("received_at") WHERE "status" IN ('received', 'failed');

CREATE INDEX "session_created" ON "streaming_playbacksession" ("created_at");

CREATE INDEX "session_ended" ON "streaming_playbacksession" ("ended_at") WHERE "ended_at" IS NOT NULL;

CREATE INDEX "session_idle" ON "streaming_playbacksession" ("last_seen_at") WHERE "ended_at" IS NULL;

CREATE INDEX "session_of_right" ON "streaming_playbacksession" ("entitlement_id") WHERE "ended_at" IS NULL;

CREATE INDEX "session_of_user" ON "streaming_playbacksession" ("user_id") WHERE "ended_at" IS NULL;

CREATE INDEX "session_of_video" ON "streaming_playbacksession" ("video_id", "created_at");

CREATE INDEX "session_to_fold" ON "streaming_playbacksession" ("last_heartbeat_at") WHERE ("counted_seconds" >= ("folded_seconds" + 1) AND "user_id" IS NOT NULL);

CREATE INDEX "session_to_forget" ON "streaming_playbacksession" ("ended_at") WHERE ("ended_at" IS NOT NULL AND "network" IS NOT NULL);

CREATE INDEX "streaming_playbacksession_entitlement_id_e2b4f749" ON "streaming_playbacksession" ("entitlement_id");

CREATE INDEX "streaming_playbacksession_user_id_a41718b6" ON "streaming_playbacksession" ("user_id");

CREATE INDEX "streaming_playbacksession_video_id_a778347d" ON "streaming_playbacksession" ("video_id");

CREATE UNIQUE INDEX "appeal_one_open_per_case" ON "videos_appeal" ("case_id") WHERE "status" = 'open';

CREATE INDEX "appeal_open" ON "videos_appeal" ("created_at") WHERE "status" = 'open';

CREATE INDEX "videos_appeal_case_id_a87f1556" ON "videos_appeal" ("case_id");

CREATE INDEX "videos_appeal_decided_by_id_ab2ee706" ON "videos_appeal" ("decided_by_id");

CREATE UNIQUE INDEX "caption_one_default_per_video" ON "videos_caption" ("video_id") WHERE "is_default";

CREATE INDEX "videos_caption_video_id_ffd57272" ON "videos_caption" ("video_id");

CREATE INDEX "videos_captionword_caption_id_c8cfca9b" ON "videos_captionword" ("caption_id");

CREATE INDEX "videos_chunk_job_id_6421daf1" ON "videos_chunk" ("job_id");

CREATE UNIQUE INDEX "case_one_open_per_video" ON "videos_moderationcase" ("video_id") WHERE "status" = 'open';

CREATE UNIQUE INDEX "case_one_taken_down" ON "videos_moderationcase" ("video_id") WHERE "status" = 'taken_down';

CREATE INDEX "case_open" ON "videos_moderationcase" ("opened_at") WHERE "status" = 'open';

CREATE INDEX "videos_moderationcase_decided_by_id_dd83498e" ON "videos_moderationcase" ("decided_by_id");

CREATE INDEX "videos_moderationcase_video_id_380bdff2" ON "videos_moderationcase" ("video_id");

CREATE INDEX "presentation_due" ON "videos_presentation" ("video_id") WHERE NOT ("changed" = ("written"));

CREATE INDEX "job_begun" ON "videos_processingjob" ("creator_id", "started_at" DESC);

CREATE UNIQUE INDEX "job_one_open_per_video" ON "videos_processingjob" ("video_id") WHERE "state" IN ('queued', 'running');

CREATE INDEX "job_open" ON "videos_processingjob" ("created_at") WHERE "state" IN ('queued', 'running');

CREATE INDEX "job_running" ON "videos_processingjob" ("creator_id") WHERE "state" = 'running';

CREATE INDEX "job_waiting" ON "videos_processingjob" ("stage", "creator_id", "created_at", "id") WHERE "state" = 'queued';

CREATE INDEX "videos_processingjob_video_id_c5501e64" ON "videos_processingjob" ("video_id");

CREATE INDEX "videos_report_case_id_6a9128d9" ON "videos_report" ("case_id");

CREATE INDEX "videos_report_reporter_id_d37917af" ON "videos_report" ("reporter_id");

CREATE UNIQUE INDEX "suspension_one_at_a_time" ON "videos_suspension" ("creator_id") WHERE "lifted_at" IS NULL;

CREATE INDEX "videos_suspension_created_by_id_a3cd945e" ON "videos_suspension" ("created_by_id");

CREATE INDEX "videos_suspension_creator_id_e8cbc7ef" ON "videos_suspension" ("creator_id");

CREATE INDEX "videos_suspension_lifted_by_id_348268cd" ON "videos_suspension" ("lifted_by_id");

CREATE INDEX "upload_ended" ON "videos_upload" ("ended_at");

CREATE INDEX "upload_open" ON "videos_upload" ("user_id") WHERE "state" = 'open';

CREATE INDEX "videos_upload_joined_id_6b08bceb" ON "videos_upload" ("joined_id");

CREATE INDEX "videos_upload_user_id_cdc71d2d" ON "videos_upload" ("user_id");

CREATE INDEX "video_alive_newest" ON "videos_video" ("created_at" DESC, "id" DESC) WHERE "deleted_at" IS NULL;

CREATE INDEX "video_by_category" ON "videos_video" ("category", "created_at" DESC);

CREATE INDEX "video_by_creator" ON "videos_video" ("creator_id", "created_at" DESC, "id" DESC);

CREATE INDEX "video_by_duration" ON "videos_video" ("duration_seconds", "id") WHERE "deleted_at" IS NULL;

CREATE INDEX "video_by_price" ON "videos_video" ("price", "id") WHERE "deleted_at" IS NULL;

CREATE INDEX "video_by_publication" ON "videos_video" ("published_at" DESC, "id" DESC) WHERE "deleted_at" IS NULL;

CREATE INDEX "video_by_status" ON "videos_video" ("status", "created_at" DESC, "id" DESC) WHERE "deleted_at" IS NULL;

CREATE INDEX "video_by_title" ON "videos_video" ("title", "id") WHERE "deleted_at" IS NULL;

CREATE INDEX "video_by_views" ON "videos_video" ("views" DESC, "id" DESC) WHERE "deleted_at" IS NULL;

CREATE INDEX "video_category_viewed" ON "videos_video" ("category", "views" DESC, "id" DESC);

CREATE INDEX "video_public_newest" ON "videos_video" ("created_at" DESC, "id" DESC) WHERE ("deleted_at" IS NULL AND "visibility" = 'public' AND NOT ("current_version" = ''));

CREATE INDEX "videos_video_creator_id_3ca1031a" ON "videos_video" ("creator_id");

CREATE INDEX "videos_video_job_id_e9f18a68" ON "videos_video" ("job_id");

CREATE INDEX "videos_video_trailer_id_df758075" ON "videos_video" ("trailer_id");

CREATE INDEX "videos_video_tags_tag_id_2673cfc8" ON "videos_video_tags" ("tag_id");

CREATE INDEX "videos_video_tags_video_id_8220dbb8" ON "videos_video_tags" ("video_id");

CREATE UNIQUE INDEX "videos_video_tags_video_id_tag_id_f8d6ba70_uniq" ON "videos_video_tags" ("video_id", "tag_id");

CREATE INDEX "delivery_finished" ON "webhooks_delivery" ("finished_at");

CREATE INDEX "delivery_of_endpoint" ON "webhooks_delivery" ("endpoint_id", "created_at" DESC);

CREATE INDEX "delivery_order" ON "webhooks_delivery" ("endpoint_id", "about", "event_id") WHERE "status" = 'waiting';

CREATE INDEX "delivery_waiting" ON "webhooks_delivery" ("endpoint_id", "not_before") WHERE "status" = 'waiting';

CREATE INDEX "webhooks_delivery_endpoint_id_6cbee67d" ON "webhooks_delivery" ("endpoint_id");

CREATE INDEX "webhooks_delivery_event_id_b6f5af91" ON "webhooks_delivery" ("event_id");

CREATE INDEX "endpoint_of_owner" ON "webhooks_endpoint" ("owner_id", "created_at" DESC);

CREATE INDEX "webhooks_endpoint_owner_id_8529ff96" ON "webhooks_endpoint" ("owner_id");

CREATE INDEX "event_by_age" ON "webhooks_event" ("created_at");

CREATE INDEX "webhooks_event_subject_id_cd0e433c" ON "webhooks_event" ("subject_id");

INSERT INTO django_migrations (app, name, applied) VALUES ('contenttypes', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('contenttypes', '0002_remove_content_type_name', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0002_alter_permission_name_max_length', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0003_alter_user_email_max_length', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0004_alter_user_username_opts', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0005_alter_user_last_login_null', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0006_require_contenttypes_0002', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0007_alter_validators_add_error_messages', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0008_alter_user_username_max_length', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0009_alter_user_last_name_max_length', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0010_alter_group_name_max_length', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0011_update_proxy_permissions', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0012_alter_user_first_name_max_length', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0002_words', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0003_sign_ins', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0004_one_address', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0005_forgetting', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0006_moderators', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0007_suspended', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0008_mailed_links', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0009_embed_domains', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0010_api_keys', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0011_erasure', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0012_second_factor', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0013_provider_identities', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('admin', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('admin', '0002_logentry_remove_auto_add', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('admin', '0003_logentry_add_action_flag_choices', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0002_rentals', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0003_words', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0004_names', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0005_worker_presence', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0002_refund_counted_at', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0003_money', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0004_fill_money', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0005_words', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0006_mails_and_names', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0007_clocks', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0008_pool_payers', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0009_returned_payouts', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0010_money_modes', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0011_upgrades', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0012_deactivated', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0013_rights', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0014_invoice_paid_in_parts', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0015_settlement_currency', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0016_hosted_invoices_and_renewals', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0017_dispute_evidence', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0018_facts', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0002_clocked_seconds', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0003_words', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0004_restricted', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0005_delivered', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0006_forgetting', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0007_earning', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0008_withdrawn', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0009_begun', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('analytics', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('analytics', '0002_words', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('analytics', '0003_networks', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('analytics', '0004_rollups', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('analytics', '0005_months', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0002_money_actions', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0003_words', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0004_doors', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0005_chain_proof', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0006_chain_partitions', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0007_activity', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0008_reading_indexes', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0009_facts', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0010_early', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0011_check', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0012_moderators', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0013_imports', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0014_moderation', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0015_trail', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0016_actions', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0017_actions', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0018_actions', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0006_early', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0007_presentation', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0008_automatic_captions', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0009_chunks', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0010_queue_engines', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0011_period', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0012_words_of_captions', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0013_resumable_uploads', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0014_imports', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0015_moderation', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0016_direct_uploads', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0017_embed_domains', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0018_previews', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0019_switched_at', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0020_availability', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0019_closing_in_batches', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0020_money_that_stayed', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0021_expired', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0022_mailed_links', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0023_html_of_mails', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0024_max_streams', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0025_preorders', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('sessions', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0010_segments', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0011_moderation', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0012_created', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0013_previews', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0021_orders', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0022_due_by_the_database', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('webhooks', '0001_initial', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '0001_squashed_0009_facts', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0001_squashed_0005_forgetting', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('videos', '0001_squashed_0005_worker_presence', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('payments', '0001_squashed_0018_facts', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('streaming', '0001_squashed_0009_begun', strftime('%Y-%m-%d %H:%M:%f'));

INSERT INTO django_migrations (app, name, applied) VALUES ('analytics', '0001_squashed_0003_networks', strftime('%Y-%m-%d %H:%M:%f'))
